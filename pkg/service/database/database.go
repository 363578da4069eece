// Package database holds the settings that projector and admin share: where the
// store is. Router and sender never import it: webhooks go out without a database.
package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// sqliteScheme begins the URL of a SQLite file, for services on one machine.
const sqliteScheme = "sqlite:"

// Config says where the store is: a PostgreSQL URL, or sqlite: and a file.
type Config struct {
	URL string `env:"DATABASE_URL"`
}

// Open connects to the store and brings its tables up to date.
func (c Config) Open(ctx context.Context) (*store.DB, error) {
	if c.URL == "" {
		return nil, errors.New("AFTERCALL_DATABASE_URL is not set; it looks like postgres://aftercall@db/aftercall")
	}
	var db *store.DB
	var err error
	if path, ok := strings.CutPrefix(c.URL, sqliteScheme); ok {
		db, err = sqlite.Open(ctx, path, sqlite.Options{})
	} else {
		db, err = postgres.Open(ctx, c.URL, postgres.Options{})
	}
	if err != nil {
		return nil, fmt.Errorf("opening the store (AFTERCALL_DATABASE_URL): %w", err)
	}
	return db, nil
}

// Addresses are the database's own, host:port, where no webhook may go. None for
// a socket in the file system.
func (c Config) Addresses() []string {
	if strings.HasPrefix(c.URL, sqliteScheme) {
		return nil
	}
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil // Open says so.
	}
	var addresses []string
	add := func(host string, port uint16) {
		if host != "" && !strings.HasPrefix(host, "/") {
			addresses = append(addresses, net.JoinHostPort(host, strconv.Itoa(int(port))))
		}
	}
	add(cfg.Host, cfg.Port)
	for _, f := range cfg.Fallbacks {
		add(f.Host, f.Port)
	}
	return addresses
}
