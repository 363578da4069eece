package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestSQLiteConforms(t *testing.T) {
	storetest.Run(t, func(t testing.TB) *store.DB { return storetest.SQLite(t) })
}

func TestTheFileIsItsOwnersAndReopens(t *testing.T) {
	ctx := context.Background()
	// Characters that mean something in a URL mean nothing in a path.
	path := filepath.Join(t.TempDir(), "a b", "st?re%20#1.db")
	batch := storetest.BusyBatch(0, 5) // its hour does not end between the rounds
	for round := range 2 {
		db, err := sqlite.Open(ctx, path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := db.Project(ctx, batch)
		if err != nil || n.Attempts != int64(5*(1-round)) {
			t.Errorf("round %d: projected %+v: %v", round, n, err)
		}
		for _, name := range []string{path, path + "-wal"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s is %v", name, info.Mode())
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWritersWaitForEachOtherAndReadersForNobody(t *testing.T) {
	ctx := context.Background()
	db := storetest.SQLite(t)
	done := make(chan error, 4)
	for w := range 4 {
		go func() {
			var err error
			for n := 0; n < 10 && err == nil; n++ {
				_, err = db.Project(ctx, storetest.BusyBatch(w*10+n, 20))
			}
			done <- err
		}()
	}
	for left := 4; left > 0; {
		select {
		case err := <-done:
			left--
			if err != nil {
				t.Error(err)
			}
		default:
			if _, _, err := db.Attempts(ctx, store.AttemptQuery{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var n int
	if err := db.SQL().QueryRow("select count(*) from attempts").Scan(&n); err != nil || n != 800 {
		t.Errorf("%d attempts: %v", n, err)
	}
}

// TestListsAreServedByIndices asks for the plans of the lists that people wait for.
func TestListsAreServedByIndices(t *testing.T) {
	db := storetest.SQLite(t)
	for query, want := range map[string]string{
		`select * from attempts order by started_at desc, attempt_id desc limit 51`:                                     "attempts_time",
		`select * from attempts where subscription_id = 'x' order by started_at desc, attempt_id desc limit 51`:         "attempts_subscription",
		`select * from attempts where attempt_id = 'x' order by started_at limit 1`:                                     "sqlite_autoindex_attempts",
		`select * from attempts where delivery_id in (select delivery_id from deliveries where event_id = 'x')`:         "deliveries_event",
		`select * from deliveries order by queued_at desc, delivery_id desc limit 51`:                                   "deliveries_time",
		`select * from deliveries where subscription_id = 'x' order by queued_at desc, delivery_id desc limit 51`:       "deliveries_subscription",
		`select subscription_id, min(next_attempt_at) from deliveries where state = 'waiting' group by subscription_id`: "deliveries_waiting",
		`select * from events order by occurred_at desc, event_id desc limit 51`:                                        "events_time",
		`select ou_path from (select ou_path from events order by occurred_at desc limit 2000) newest group by ou_path`: "events_time",
		`select topic, sum(n) from source_minutes where minute >= '2026' group by topic`:                                "sqlite_autoindex_source_minutes",
		`select event_id from events where call_id = 'x' and call_id <> ''`:                                             "events_call",
		`select payload from payloads where event_id = 'x'`:                                                             "sqlite_autoindex_events",
		`select e.event_id from events e left join payloads p on p.event_id = e.event_id where e.event_id = 'x'`:        "sqlite_autoindex_events",
		`delete from payloads where stored_at < '2026'`:                                                                 "events_payload",
	} {
		plan := planOf(t, db, query)
		if !strings.Contains(plan, want) {
			t.Errorf("%s is not served by %s:\n%s", query, want, plan)
		}
	}
}

func planOf(t *testing.T, db *store.DB, query string) string {
	t.Helper()
	rows, err := db.SQL().Query("explain query plan " + query)
	if err != nil {
		t.Fatal(query, err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
