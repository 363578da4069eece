package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Of a number that was erased no byte is left in the files, neither in a row nor in
// the room of rows that were deleted: also where the file is older than the
// overwriting of such room.
func TestNoByteOfAnErasedNumberIsLeftInTheFile(t *testing.T) {
	for name, old := range map[string]bool{"a new file": false, "a file of before": true} {
		t.Run(name, func(t *testing.T) {
			ctx, dir := context.Background(), t.TempDir()
			path := filepath.Join(dir, "aftercall.db")
			db, err := sqlite.Open(ctx, path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			data, _ := secret.NewKeyset()
			keys, err := secret.Open(data)
			if err != nil {
				t.Fatal(err)
			}
			db.SetDigester(keys)
			exec := func(text string) {
				t.Helper()
				if _, err := db.Writer().ExecContext(ctx, text); err != nil {
					t.Fatal(text, err)
				}
			}
			if old {
				exec(`pragma secure_delete = off`)
				exec(`delete from settings where name = 'overwritten'`)
			}
			number := []byte("12025550142")
			for i := range 40 {
				// Short ones lie in the row's page, long ones in pages of their own.
				pad := bytes.Repeat([]byte("x"), i*400)
				at := timestamppb.New(storetest.Start)
				id := "evt_" + string(rune('a'+i%26)) + string(rune('a'+i/26))
				_, err := db.Project(ctx, &store.Batch{Events: []*aftercallv1.Event{{EventId: id, CallId: "call", OccurredAt: at, RoutedAt: at,
					Payload: append(append([]byte(`{"CallerNumber":"+`), append(number, `","Pad":"`...)...), append(pad, `"}`...)...)}}})
				if err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					// Gone from the rows before, as what has expired.
					exec(`update events set payload = null where event_id = '` + id + `'`)
				}
			}
			exec(`pragma wal_checkpoint(truncate)`)
			if !left(t, dir, number) {
				t.Fatal("the number is nowhere before")
			}
			if old {
				exec(`pragma secure_delete = on`) // as the next start does
			}
			_, done := storetest.Erase(t, db, store.ErasureNumber, string(number))
			if done.Counts.Events != 40 || done.Counts.Payloads != 20 {
				t.Errorf("erased %+v", done.Counts)
			}
			if left(t, dir, number) {
				t.Error("the number is left in a file")
			}
		})
	}
}

func left(t *testing.T, dir string, text []byte) bool {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, text) {
			return true
		}
	}
	return false
}
