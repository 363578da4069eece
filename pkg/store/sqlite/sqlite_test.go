package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestSQLiteConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB) *store.DB { return storetest.SQLite(t) })
}

func TestTheFileIsItsOwnersAndReopens(t *testing.T) {
	ctx := context.Background()
	// Characters that mean something in a URL mean nothing in a path.
	path := filepath.Join(t.TempDir(), "a b", "st?re%20#1.db")
	for round := range 2 {
		db, err := sqlite.Open(ctx, path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		batch := storetest.BusyBatch(0, 5)
		n, err := db.Project(ctx, batch)
		if err != nil || n.Attempts != int64(5*(1-round)) {
			t.Errorf("round %d: projected %+v: %v", round, n, err)
		}
		for _, name := range []string{path, path + "-wal"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %v", name, info.Mode())
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWritersWaitForEachOtherAndReadersForNobody(t *testing.T) {
	ctx := context.Background()
	db := storetest.SQLite(t)
	done := make(chan error, 4)
	for w := range 4 {
		go func() {
			var err error
			for n := 0; n < 10 && err == nil; n++ {
				_, err = db.Project(ctx, storetest.BusyBatch(w*10+n, 20))
			}
			done <- err
		}()
	}
	for left := 4; left > 0; {
		select {
		case err := <-done:
			left--
			if err != nil {
				t.Error(err)
			}
		default:
			if _, _, err := db.Attempts(ctx, store.AttemptQuery{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var n int
	if err := db.SQL().QueryRow("select count(*) from attempts").Scan(&n); err != nil || n != 800 {
		t.Errorf("%d attempts: %v", n, err)
	}
}
