package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// DB is one open store. It is safe for concurrent use.
type DB struct {
	sql    *sql.DB
	writer *sql.DB
	engine Engine
	now    func() time.Time

	keyMu sync.Mutex
	key   []byte

	eraser *Eraser
}

// read runs a query and scans its rows.
func (d *DB) read(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	rows, err := d.sql.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return drain(rows, scan)
}

func drain(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// write runs f in a transaction.
func (d *DB) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// timestamp is the present as rows keep it.
func (d *DB) timestamp() time.Time { return CleanTime(d.now()) }

// Engine is what the databases don't agree on.
type Engine interface {
	// Name is "postgres" or "sqlite".
	Name() string
	// Time is t as an argument of a query. The zero time is NULL.
	Time(t time.Time) any
	// Project writes a batch in one transaction, or nothing of it.
	Project(ctx context.Context, b *Batch) (Projected, error)
	// PublishLock takes the lock of the one publisher of subscriptions without
	// waiting for it.
	PublishLock(ctx context.Context) (release func(), ok bool, err error)
	// ReplayLock is PublishLock for the one runner of replays.
	ReplayLock(ctx context.Context) (release func(), ok bool, err error)
	// Lock is PublishLock for anything else that only one may do at a time.
	Lock(ctx context.Context, name string) (release func(), ok bool, err error)
	// Conflict says that err is a violated uniqueness.
	Conflict(err error) bool
	// Close ends what the engine holds besides the pool.
	Close() error
}

// New makes a store of a pool whose schema is migrated. The packages postgres
// and sqlite call it from their Open.
// writer takes what changes rows; it may be the same pool, or nil for that.
func New(pool, writer *sql.DB, e Engine) *DB {
	if writer == nil {
		writer = pool
	}
	return &DB{sql: pool, writer: writer, engine: e, now: time.Now, eraser: &Eraser{}}
}

// SQL is the pool, for what has no method here: read-only queries of tests and
// of the public views.
func (d *DB) SQL() *sql.DB { return d.sql }

// Writer is the pool that may change rows, for tests.
func (d *DB) Writer() *sql.DB { return d.writer }

// Dialect is "postgres" or "sqlite".
func (d *DB) Dialect() string { return d.engine.Name() }

// Ping says whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return d.sql.PingContext(ctx) }

// Close ends all connections.
func (d *DB) Close() error {
	err := d.engine.Close()
	if d.writer != d.sql {
		err = errors.Join(err, d.writer.Close())
	}
	return errors.Join(err, d.sql.Close())
}

// Project writes a batch and moves its offsets, in one transaction. It answers
// ErrOffsetMoved when an offset was not where the batch says, and
// ErrUnstorable when the database refuses a value, ErrNoRoom when its disk is full; in these cases, and in any
// other error, nothing of the batch is written. What was erased is left out.
func (d *DB) Project(ctx context.Context, b *Batch) (Projected, error) {
	with := *b
	with.Eraser = d.eraser
	return d.engine.Project(ctx, &with)
}

// PublishLock takes the lock of the one publisher of subscriptions without
// waiting: ok is false while another one holds it. release gives it back; so
// does the end of the process.
func (d *DB) PublishLock(ctx context.Context) (release func(), ok bool, err error) {
	return d.engine.PublishLock(ctx)
}

// Lock takes the lock of this name without waiting, as PublishLock does the
// publisher's.
func (d *DB) Lock(ctx context.Context, name string) (release func(), ok bool, err error) {
	return d.engine.Lock(ctx, name)
}
