// Package sqlite opens the store of the one-process edition: one file, no
// server.
//
// Writes go through one connection, one after the other; reads have their own
// and see a consistent state meanwhile (WAL). A commit is synced to disk
// (synchronous=FULL): an answer that a subscription or a token was saved must
// outlive a power cut. Only what is projected from Kafka is not waited for: it
// can be projected again, from the offsets that are in the same transaction.
//
// What is deleted is overwritten with zeros (secure_delete), so that personal data
// that has expired or was erased stands nowhere in the file.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/aftercall/aftercall/pkg/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of Open.
type Options struct {
	// Readers is the number of reading connections, 0 for 4.
	Readers int
}

// Open opens the database in the file at path, making it and its folder where
// they are missing, and migrates it.
func Open(ctx context.Context, path string, o Options) (*store.DB, error) {
	if o.Readers == 0 {
		o.Readers = 4
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the database: %w", err)
	}
	// For its owner alone; what SQLite puts beside it follows.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	writer, err := connect(path, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-65536)&_pragma=temp_store(memory)&_pragma=secure_delete(on)")
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating %s: %w", path, err), writer.Close())
	}
	reader, err := connect(path, "_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(o.Readers)
	reader.SetMaxIdleConns(o.Readers)
	return store.New(reader, writer, &engine{writer: writer}), nil
}

func connect(path, params string) (*sql.DB, error) {
	file := url.URL{Path: path}
	db, err := sql.Open("sqlite", "file:"+file.EscapedPath()+"?_pragma=busy_timeout(10000)&"+params)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return db, nil
}

// migrating keeps two Opens within this process apart; between processes the
// folder's lock does.
var migrating sync.Mutex

func migrate(ctx context.Context, db *sql.DB) error {
	migrating.Lock()
	defer migrating.Unlock()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

type engine struct {
	writer    *sql.DB
	publisher sync.Mutex
	replays   sync.Mutex
	locks     sync.Map // name → *sync.Mutex
}

func (e *engine) Name() string { return "sqlite" }

func (e *engine) Time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(store.TimeLayout)
}

func (e *engine) Conflict(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && (se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// PublishLock is the process's own: nobody else has the folder open.
func (e *engine) PublishLock(context.Context) (func(), bool, error) { return try(&e.publisher) }

// ReplayLock is too.
func (e *engine) ReplayLock(context.Context) (func(), bool, error) { return try(&e.replays) }

// Lock is too.
func (e *engine) Lock(_ context.Context, name string) (func(), bool, error) {
	mu, _ := e.locks.LoadOrStore(name, &sync.Mutex{})
	return try(mu.(*sync.Mutex))
}

func try(mu *sync.Mutex) (func(), bool, error) {
	if !mu.TryLock() {
		return nil, false, nil
	}
	return sync.OnceFunc(mu.Unlock), true, nil
}

func (e *engine) Close() error { return nil }

// refused says that the value is at fault, not the moment.
func refused(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CONSTRAINT:
		return true
	}
	return false
}
