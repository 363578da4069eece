// Package storetest holds the one conformance suite of the store, run on both
// databases, and what tests need to open one.
//
// What is real here: the database, its file or server, its transactions. What
// is not: Kafka. Records are made by Feed, which plays a small deployment with a
// fixed seed; Model says what must be in the store after it, computed the slow
// way from the rules in the store's documentation, and shares no code with it.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// SQLite opens a fresh SQLite store that ends with the test.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Postgres opens a fresh PostgreSQL store that ends with the test.
func Postgres(t testing.TB) *store.DB {
	t.Helper()
	return PostgresAt(t, PostgresURL(t))
}

// PostgresAt opens the PostgreSQL store at a URL until the end of the test.
func PostgresAt(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), url, postgres.Options{DaysAhead: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// PostgresURL makes a schema of the test's own in the database that
// AFTERCALL_TEST_DATABASE_URL names, and answers a URL that ends up in it. It
// skips the test when the variable is unset, and fails it then when
// AFTERCALL_REQUIRE_REAL is 1.
func PostgresURL(t testing.TB) string {
	t.Helper()
	base := os.Getenv("AFTERCALL_TEST_DATABASE_URL")
	if base == "" {
		const how = "needs PostgreSQL: run `make real-up`, which prints AFTERCALL_TEST_DATABASE_URL to set"
		if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "" {
		t.Fatalf("AFTERCALL_TEST_DATABASE_URL is not a URL")
	}
	b := make([]byte, 6)
	rand.Read(b)
	schema := "test_" + hex.EncodeToString(b)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	exec := func(ctx context.Context, text string) error {
		conn, err := pgx.Connect(ctx, base)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, text)
		return err
	}
	if err := exec(ctx, "create schema "+schema); err != nil {
		t.Fatalf("making a schema: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := exec(ctx, "drop schema "+schema+" cascade"); err != nil {
			t.Errorf("dropping the schema: %v", err)
		}
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Dump is every row that projecting writes, as text, in the order of the text:
// two stores that hold the same dump alike. Times of writing are left out.
func Dump(t testing.TB, db *store.DB) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []string{
		"events", "event_repeats", "event_decisions", "payloads", "deliveries", "attempts", "deferrals", "rejections", "endpoint_changes",
		"endpoints", "subscription_hours", "projector_offsets",
	} {
		out.WriteString("== " + table + "\n")
		for _, line := range rowsOf(t, db, table) {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}
