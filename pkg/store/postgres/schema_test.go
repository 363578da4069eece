package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

var ctx = context.Background()

func TestProcessesThatStartAtOnceMigrateOnce(t *testing.T) {
	url := storetest.PostgresURL(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := postgres.Open(ctx, url, postgres.Options{DaysAhead: 2})
			if err != nil {
				t.Error(err)
				return
			}
			db.Close()
		})
	}
	wg.Wait()
}

func TestDaysAreMadeAheadAndAgainWhenDropped(t *testing.T) {
	db := storetest.Postgres(t)
	name := "attempts_" + time.Now().UTC().AddDate(0, 0, 1).Format("20060102")
	var there bool
	if err := db.SQL().QueryRow(`select to_regclass($1) is not null`, name).Scan(&there); err != nil || !there {
		t.Fatalf("tomorrow's partition %s: %v %v", name, there, err)
	}
	batch := storetest.BusyBatch(0, 10)
	day := "attempts_" + batch.Attempts[0].StartedAt.AsTime().Format("20060102")
	if _, err := db.SQL().Exec("drop table " + day); err != nil {
		t.Fatal(err)
	}
	if n, err := db.Project(ctx, batch); err != nil || n.Attempts != 10 {
		t.Errorf("projected %+v: %v", n, err)
	}
}

func TestAWrongDatabaseURLIsAnErrorWithoutThePassword(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "postgres://u:hunter2@127.0.0.1:notaport/x", "://u:hunter2@"} {
		_, err := postgres.Open(ctx, url, postgres.Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("opening answered %v", err)
		}
	}
}

func TestAValueThatTheDatabaseRefusesIsTold(t *testing.T) {
	db := storetest.Postgres(t)
	if _, err := db.SQL().Exec(`alter table deliveries add constraint no_such check (subscription_id <> 'sub_03')`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Project(ctx, storetest.BusyBatch(0, 10)); !errors.Is(err, store.ErrUnstorable) {
		t.Errorf("projecting answered %v", err)
	}
}

func TestThePublishersLockEndsWithItsConnection(t *testing.T) {
	url := storetest.PostgresURL(t)
	a, b := storetest.PostgresAt(t, url), storetest.PostgresAt(t, url)
	_, ok, err := a.PublishLock(ctx)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, ok, err := b.PublishLock(ctx); err != nil || ok {
		t.Fatalf("two publishers: %v", err)
	}
	// The server ends the connection, as it does when the process is killed.
	if _, err := b.SQL().Exec(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = hashtext('aftercall publisher')::bit(32)::bigint::oid
		and objid = hashtext(current_schema())::bit(32)::bigint::oid`); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		release, ok, err := b.PublishLock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			release()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the lock of a dead publisher is held")
		}
	}
}

// TestListsAreServedByIndices asks for the plans of the lists that people wait
// for, with some weeks of rows.
func TestListsAreServedByIndices(t *testing.T) {
	db := storetest.Postgres(t)
	for n := range 4 {
		if _, err := db.Project(ctx, storetest.BusyBatch(n*86400/2, 1500)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.SQL().Exec(`analyze`); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ query, want string }{
		"newest attempts":  {`select * from attempts order by started_at desc, attempt_id desc limit 51`, "started_at_idx"},
		"the next page":    {`select * from attempts where (started_at, attempt_id) < (now() + interval '1 day', 'x') order by started_at desc, attempt_id desc limit 51`, "started_at_idx"},
		"of a webhook":     {`select * from attempts where subscription_id = 'sub_07' order by started_at desc, attempt_id desc limit 51`, "started_at_idx"},
		"one attempt":      {`select * from attempts where attempt_id = 'x' order by started_at limit 1`, "_pkey"},
		"of a call":        {`select * from attempts where delivery_id in (select delivery_id from deliveries where event_id in (select event_id from events where call_id = 'x' and call_id <> '')) order by started_at desc limit 51`, "events_call"},
		"newest delivery":  {`select * from deliveries order by queued_at desc, delivery_id desc limit 51`, "deliveries_time"},
		"waiting":          {`select subscription_id, count(*), min(next_attempt_at) from deliveries where state = 'waiting' group by subscription_id`, "deliveries_waiting"},
		"newest events":    {`select * from events order by occurred_at desc, event_id desc limit 51`, "events_time"},
		"scenario of call": {`select event_id from events where scenario_id in ('x') and scenario_id <> ''`, "events_scenario"},
	} {
		plan := explained(t, db, name, c.query)
		if !strings.Contains(plan, c.want) {
			t.Errorf("%s is not served by %s:\n%s", name, c.want, plan)
		}
	}
}

// reader is a connection as the role that may read the views alone.
func reader(t *testing.T) *pgx.Conn {
	t.Helper()
	url := storetest.PostgresURL(t)
	storetest.PostgresAt(t, url)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	schema := cfg.RuntimeParams["search_path"]
	role := schema + "_reader"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	if _, err := conn.Exec(ctx, "create role "+role+" nologin"); err != nil {
		t.Skipf("may not create roles here: %v", err)
	}
	t.Cleanup(func() {
		for _, text := range []string{"reset role", "drop owned by " + role, "drop role " + role} {
			if _, err := conn.Exec(ctx, text); err != nil {
				t.Error(err)
			}
		}
	})
	grants, err := os.ReadFile("grants/read_only.sql")
	if err != nil {
		t.Fatal(err)
	}
	// As psql fills in its variables.
	text := strings.NewReplacer(`:"schema"`, schema, `:"role"`, role).Replace(string(grants))
	if _, err := conn.Exec(ctx, text); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "set role "+role); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestAReaderSeesTheViewsAndNothingElse(t *testing.T) {
	conn := reader(t)
	for _, view := range []string{"v_attempts", "v_deliveries", "v_events", "v_endpoint_health", "v_freshness"} {
		if _, err := conn.Exec(ctx, "select * from "+view); err != nil {
			t.Errorf("%s: %v", view, err)
		}
	}
	for _, table := range []string{"payloads", "attempts", "tokens", "subscriptions", "settings"} {
		var refused *pgconn.PgError
		if _, err := conn.Exec(ctx, fmt.Sprintf("select * from %s", table)); !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s answered %v", table, err)
		}
	}
}

func explained(t *testing.T, db *store.DB, name, query string) string {
	t.Helper()
	rows, err := db.SQL().Query("explain " + query)
	if err != nil {
		t.Fatal(name, err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(name, err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(name, err)
	}
	return plan.String()
}
