package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aftercall/aftercall/pkg/store"
)

// undefinedTable is PostgreSQL's code for a table that does not exist.
const undefinedTable = "42P01"

// Look connects to a database and says at which migration it is. It changes
// nothing.
func Look(ctx context.Context, url string) (store.Schema, error) {
	var s store.Schema
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return s, err
	}
	if s.Wants, err = store.NewestMigration(files); err != nil {
		return s, err
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The error may quote the URL, and the URL holds a password.
		return s, errors.New("reading the database URL: it is not a PostgreSQL connection string")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return s, fmt.Errorf("connecting to PostgreSQL at %s:%d: %w", cfg.Host, cfg.Port, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&s.Now); err != nil {
		return s, fmt.Errorf("asking for the time: %w", err)
	}
	err = conn.QueryRow(ctx, "select coalesce(max(version_id), 0) from goose_db_version where is_applied").Scan(&s.Has)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("asking for the migration: %w", err)
	}
	return s, nil
}
