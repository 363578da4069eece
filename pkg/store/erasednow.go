package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ErasedNow is what was erased, for whoever shows records that are not from the
// store, and the revision of it: as long as that stays, so does the answer.
func (d *DB) ErasedNow(ctx context.Context) (known *Erased, revision int64, err error) {
	err = d.read(ctx, `select coalesce(max(revision), 0) from erasures`, nil, func(rows *sql.Rows) error { return rows.Scan(&revision) })
	if err == nil && revision == 0 {
		return &Erased{}, 0, nil
	}
	if err == nil {
		known, err = d.eraser.Known(ctx, reader{d})
	}
	return known, revision, wrap("reading what was erased", err)
}

// reader is a Tx that only reads, each query by itself.
type reader struct{ *DB }

func (r reader) Query(ctx context.Context, text string, args []any, scan func(Row) error) error {
	return r.read(ctx, text, args, func(rows *sql.Rows) error { return scan(rows) })
}

// Time is t as an argument.
func (r reader) Time(t time.Time) any { return r.engine.Time(t) }

func (reader) Exec(context.Context, string, ...any) (int64, error) {
	return 0, errors.New("this only reads")
}
