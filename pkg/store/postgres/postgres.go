// Package postgres opens the store of the separate services on PostgreSQL.
//
// A batch is copied into temporary tables and merged from there, in one
// transaction, always in the same order of tables and keys, so that two
// projectors wait for each other instead of deadlocking. Attempts are kept by
// day (UTC): partitions are made ahead, and for whatever day a batch speaks of.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/aftercall/aftercall/pkg/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of Open.
type Options struct {
	// MaxConns bounds the pool, 0 for 16.
	MaxConns int
	// DaysAhead is how many day partitions are made ahead, 0 for 7.
	DaysAhead int
}

// Pool opens connections that plan each query for its values. By default
// PostgreSQL makes one plan for any value from the sixth time on, and that one went
// through all days for a call, and through all failures of a busy webhook. It is
// set on the connection, not at its start, for poolers that refuse what they don't
// know there.
func Pool(cfg pgx.ConnConfig) *sql.DB {
	return stdlib.OpenDB(cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "set plan_cache_mode = force_custom_plan")
		return err
	}))
}

// Open connects to a database by its URL (or key=value string) and migrates it,
// one process at a time.
func Open(ctx context.Context, url string, o Options) (*store.DB, error) {
	if o.MaxConns == 0 {
		o.MaxConns = 16
	}
	if o.DaysAhead == 0 {
		o.DaysAhead = 7
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The error may quote the URL, and the URL holds a password.
		return nil, errors.New("reading the database URL: it is not a PostgreSQL connection string")
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	cfg.RuntimeParams["timezone"] = "UTC"
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "aftercall"
	}
	// "… already exists, skipping" of temporary tables is no news.
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	pool := Pool(*cfg)
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(min(o.MaxConns, 4))
	pool.SetConnMaxIdleTime(5 * time.Minute)

	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to PostgreSQL at %s:%d: %w", cfg.Host, cfg.Port, err), pool.Close())
	}
	if err := migrate(ctx, pool); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating: %w", err), pool.Close())
	}
	e := &engine{pool: pool, days: &days{pool: pool, ahead: o.DaysAhead, made: map[string]bool{}}}
	if err := e.days.ensure(ctx, e.days.coming(time.Now())); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return store.New(pool, nil, e), nil
}

func migrate(ctx context.Context, pool *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, pool, files, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

type engine struct {
	pool *sql.DB
	days *days
}

func (e *engine) Name() string { return "postgres" }

func (e *engine) Time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func (e *engine) Close() error { return nil }

func (e *engine) Conflict(err error) bool { return strings.HasPrefix(code(err), "23505") }

// PublishLock is an advisory lock on a connection of its own: it ends with it.
func (e *engine) PublishLock(ctx context.Context) (func(), bool, error) {
	return e.lock(ctx, "aftercall publisher")
}

// ReplayLock is too.
func (e *engine) ReplayLock(ctx context.Context) (func(), bool, error) {
	return e.lock(ctx, "aftercall replays")
}

// Lock is too.
func (e *engine) Lock(ctx context.Context, name string) (func(), bool, error) {
	return e.lock(ctx, "aftercall "+name)
}

func (e *engine) lock(ctx context.Context, name string) (func(), bool, error) {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("taking the lock %q: %w", name, err)
	}
	var ok bool
	err = conn.QueryRowContext(ctx, `select pg_try_advisory_lock(hashtext($1), hashtext(current_schema()))`, name).Scan(&ok)
	if err != nil || !ok {
		conn.Close()
		if err != nil {
			err = fmt.Errorf("taking the lock %q: %w", name, err)
		}
		return nil, false, err
	}
	release := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		// Unlocked or not: a connection that could not say so is not used again.
		_, err := conn.ExecContext(ctx, `select pg_advisory_unlock(hashtext($1), hashtext(current_schema()))`, name)
		if err != nil {
			_ = conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().Close(ctx) })
		}
		conn.Close()
	}
	return sync.OnceFunc(release), true, nil
}

func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// refused says that the value is at fault, not the moment: data exceptions,
// broken constraints, exceeded limits.
func refused(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "22") || strings.HasPrefix(c, "23") || strings.HasPrefix(c, "54")
}
