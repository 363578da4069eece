package sqlite

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/aftercall/aftercall/pkg/store"
)

// Look opens a file for reading and says at which migration it is. It changes
// nothing.
func Look(ctx context.Context, path string) (store.Schema, error) {
	var s store.Schema
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return s, err
	}
	if s.Wants, err = store.NewestMigration(files); err != nil {
		return s, err
	}
	if _, err := os.Stat(path); err != nil {
		return s, err
	}
	db, err := connect(path, "mode=ro&_pragma=query_only(1)")
	if err != nil {
		return s, err
	}
	defer func() { _ = db.Close() }()
	tables := 0
	if err := db.QueryRowContext(ctx, "select count(*) from sqlite_master where name = 'goose_db_version'").Scan(&tables); err != nil {
		return s, fmt.Errorf("reading %s: %w", path, err)
	}
	if tables == 0 {
		return s, nil
	}
	if err := db.QueryRowContext(ctx, "select coalesce(max(version_id), 0) from goose_db_version where is_applied").Scan(&s.Has); err != nil {
		return s, fmt.Errorf("asking for the migration: %w", err)
	}
	return s, nil
}
