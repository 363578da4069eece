package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// A rollback leaves the tables as they are: migrations only add.
func TestAnOlderProgramStartsOnANewerSchema(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "aftercall.db")
	db, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(ctx, `insert into goose_db_version (version_id, is_applied, tstamp) values (99999, 1, datetime('now'))`)
	raw.Close()
	if err != nil {
		t.Fatal(err)
	}
	db, err = sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatalf("an older program does not start: %v", err)
	}
	db.Close()
}
