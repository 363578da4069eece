package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// ledger notes the queries that a store asks, with their arguments.
type ledger struct {
	mu      sync.Mutex
	queries []asked
}

type asked struct {
	text string
	args []any
}

func (l *ledger) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries = append(l.queries, asked{q.SQL, slices.Clone(q.Args)})
	return ctx
}

func (l *ledger) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (l *ledger) take() []asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.queries
	l.queries = nil
	return out
}

// plain is what reading needs of an engine.
type plain struct{ store.Engine }

func (plain) Name() string { return "postgres" }

func (plain) Time(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// grown is a store with history of a week: ten thousand webhooks, of which the
// first has one attempt of forty, and so many attempts, each of a delivery of an
// event of its own. What waits does not grow with history, and is the same always.
type grown struct {
	db     *store.DB
	ledger *ledger
	pool   *sql.DB
	now    time.Time
	rows   int
}

const webhooks = 10_000

func grow(t *testing.T, rows int) *grown {
	t.Helper()
	url := storetest.PostgresURL(t)
	full := storetest.PostgresAt(t, url)
	// At noon: a day that has just begun has so few rows that reading all is best.
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	// One attempt a day makes the days' partitions.
	b := &store.Batch{}
	for day := range 8 {
		at := timestamppb.New(now.AddDate(0, 0, -day))
		b.Attempts = append(b.Attempts, &store.AttemptAt{Attempt: &aftercallv1.Attempt{AttemptId: fmt.Sprint("first", day), DeliveryId: fmt.Sprint("first", day), StartedAt: at, FirstQueuedAt: at}})
	}
	if _, err := full.Project(ctx, b); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	g := &grown{ledger: &ledger{}, now: now, rows: rows}
	cfg.Tracer = g.ledger
	g.pool = postgres.Pool(*cfg)
	t.Cleanup(func() { g.pool.Close() })
	g.db = store.New(g.pool, nil, plain{})
	const which = `lpad((case when i % 40 = 0 then 0 else i % 10000 end)::text, 5, '0')`
	at := `$1::timestamptz - (interval '7 days' / $2) * ($2 - i)`
	for _, text := range []string{
		`insert into subscriptions (id, version, tenant, name, endpoint, active, deleted, body, created_at, updated_at)
			select 'sub_' || lpad(i::text, 5, '0'), 1, 'default', 'Webhook ' || i, 'https://example.com/' || i, true, false, ''::bytea, $1::timestamptz, $1::timestamptz from generate_series(0, 9999) i where $2::bigint > 0`,
		`insert into events (event_id, tenant, source, event_type, ce_id, call_id, scenario_id, parent_id, ou_path, cause, occurred_at, produced_at, routed_at, duplicate, matched, payload_bytes, src_topic, src_partition, src_offset, detail)
			select 'evt_' || md5(i::text), 'default', '', 'App.QueueWebhook', '', 'call-' || i, 'scenario-' || i / 3, case when i % 3 = 0 then '' else 'call-' || i - 1 end, '', 'call_ended', ` + at + `, null, ` + at + `, 0, 1, 800, 'aftercall.cdr.queue', 0, i, ''::bytea
			from generate_series(1, $2::bigint) i`,
		`insert into deliveries (delivery_id, event_id, subscription_id, tenant, event_type, call_id, cause, request_id, requested_by, occurred_at, queued_at, state, reason, next_attempt_at, state_rank, made, put_off, deferrals, updated_at, updated_by,
			last_rank, attempt, last_attempt_at, last_attempt_id, attempts_allowed, result, error_class, http_status, call_end_to_delivered_ms)
			select 'dlv_' || md5(i::text), 'evt_' || md5(i::text), 'sub_' || ` + which + `, 'default', 'App.QueueWebhook', 'call-' || i, 'call_ended', '', '', ` + at + `, ` + at + `,
			case when $2 - i < 1000 then 'waiting' when $2 - i < 1100 then 'queued' when i % 50 = 0 then 'given_up' else 'delivered' end, '', case when $2 - i < 1000 then $1::timestamptz + interval '1 minute' end, 3, 1, 0, 0, ` + at + `, '', 3, 1, ` + at + `, 'att_' || i, 13,
			case when i % 25 = 0 then 'failed' else 'delivered' end, case when i % 25 = 0 then 'status' else '' end, case when i % 25 = 0 then 503 else 200 end, 40
			from generate_series(1, $2::bigint) i`,
		`insert into attempts (attempt_id, delivery_id, event_id, subscription_id, event_type, call_id, cause, attempt, attempts_allowed, started_at, result, error_class, http_status, duration_ms, call_end_to_delivered_ms, next_attempt_at, state, reason,
			latency_bucket, recorded_at, rec_topic, rec_partition, rec_offset, detail)
			select 'att_' || i, 'dlv_' || md5(i::text), 'evt_' || md5(i::text), 'sub_' || ` + which + `, 'App.QueueWebhook', 'call-' || i, 'call_ended', 1, 13, ` + at + `,
			case when i % 25 = 0 then 'failed' else 'delivered' end, case when i % 25 = 0 then 'status' else '' end, case when i % 25 = 0 then 503 else 200 end, 40, 40, null, 'delivered', '', 40 + i % 12, ` + at + `, 'aftercall.history', 0, i, ''::bytea
			from generate_series(1, $2::bigint) i`,
		`insert into subscription_hours (subscription_id, hour, cause, result, latency_bucket, n)
			select subscription_id, date_trunc('hour', started_at, 'UTC'), cause, result, latency_bucket, count(*) from attempts where subscription_id <> '' and $1::timestamptz is not null and $2::bigint > 0 group by 1, 2, 3, 4, 5`,
		`insert into endpoints (subscription_id, last_attempt_at, last_attempt_id, last_success_at, last_failure_at)
			select distinct on (subscription_id) subscription_id, started_at, attempt_id, started_at, null::timestamptz from attempts where subscription_id <> '' and $1::timestamptz is not null and $2::bigint > 0 order by subscription_id, started_at desc`,
		`insert into source_minutes (minute, topic, n, repeats, last_at)
			select date_trunc('minute', occurred_at, 'UTC'), src_topic, count(*), 0, max(occurred_at) from events where src_topic <> '' and $1::timestamptz is not null and $2::bigint > 0 group by 1, 2`,
	} {
		if _, err := g.pool.ExecContext(ctx, text, now, rows); err != nil {
			t.Fatalf("filling by %.60s: %v", text, err)
		}
	}
	if _, err := g.pool.ExecContext(ctx, `vacuum analyze subscriptions, events, deliveries, attempts, subscription_hours, endpoints, source_minutes`); err != nil {
		t.Fatal(err)
	}
	g.ledger.take()
	return g
}

// reads are what people and programs ask of history; n varies what is asked for.
func (g *grown) reads() map[string]func(n int) error {
	sub := func(n int) string { return fmt.Sprintf("sub_%05d", (n*7919+1)%webhooks) }
	row := func(n int) int { return (n*104729)%g.rows + 1 }
	call := func(n int) string { return fmt.Sprint("call-", row(n)) }
	attempts := func(q func(n int) store.AttemptQuery) func(int) error {
		return func(n int) error {
			page, next, err := g.db.Attempts(ctx, q(n))
			if err == nil && next != "" && len(page) > 0 {
				again := q(n)
				again.Cursor = next
				_, _, err = g.db.Attempts(ctx, again)
			}
			return err
		}
	}
	deliveries := func(q func(n int) store.DeliveryQuery) func(int) error {
		return func(n int) error { _, _, err := g.db.Deliveries(ctx, q(n)); return err }
	}
	events := func(q func(n int) store.EventQuery) func(int) error {
		return func(n int) error { _, _, err := g.db.Events(ctx, q(n)); return err }
	}
	charts := func(name string, sub func(int) string) func(int) error {
		return func(n int) error {
			q, _ := store.ChartOf(sub(n), name, g.now)
			_, err := g.db.Charts(ctx, q)
			return err
		}
	}
	busy := func(int) string { return "sub_00000" }
	out := map[string]func(int) error{
		"attempts":                   attempts(func(int) store.AttemptQuery { return store.AttemptQuery{} }),
		"attempts of a webhook":      attempts(func(n int) store.AttemptQuery { return store.AttemptQuery{SubscriptionID: sub(n)} }),
		"attempts of a busy webhook": attempts(func(n int) store.AttemptQuery { return store.AttemptQuery{SubscriptionID: busy(n), Result: "failed"} }),
		"attempts that failed":       attempts(func(int) store.AttemptQuery { return store.AttemptQuery{Result: "failed"} }),
		"attempts by status":         attempts(func(int) store.AttemptQuery { return store.AttemptQuery{Status: "5xx", Result: "failed"} }),
		"attempts by error": attempts(func(int) store.AttemptQuery {
			return store.AttemptQuery{ErrorClass: "status", Cause: store.CauseNotTest}
		}),
		"attempts of a call": attempts(func(n int) store.AttemptQuery { return store.AttemptQuery{CallID: call(n)} }),
		"attempts of an hour": attempts(func(n int) store.AttemptQuery {
			from := g.now.Add(-time.Duration(n%100) * time.Hour)
			return store.AttemptQuery{From: from, To: from.Add(time.Hour)}
		}),
		"deliveries":              deliveries(func(int) store.DeliveryQuery { return store.DeliveryQuery{} }),
		"deliveries of a webhook": deliveries(func(n int) store.DeliveryQuery { return store.DeliveryQuery{SubscriptionID: sub(n)} }),
		"deliveries that wait":    deliveries(func(n int) store.DeliveryQuery { return store.DeliveryQuery{SubscriptionID: sub(n), State: "waiting"} }),
		"deliveries of a call":    deliveries(func(n int) store.DeliveryQuery { return store.DeliveryQuery{CallID: call(n)} }),
		"events":                  events(func(int) store.EventQuery { return store.EventQuery{} }),
		"events of a call":        events(func(n int) store.EventQuery { return store.EventQuery{CallID: call(n)} }),
		"events of a scenario":    events(func(n int) store.EventQuery { return store.EventQuery{ScenarioID: fmt.Sprint("scenario-", row(n)/3)} }),
		"a call":                  func(n int) error { _, err := g.db.Call(ctx, call(n)); return err },
		"an attempt":              func(n int) error { _, err := g.db.Attempt(ctx, fmt.Sprint("att_", row(n))); return err },
		"charts of an hour":       charts("1h", sub),
		"charts of a day":         charts("24h", sub),
		"charts of a week":        charts("7d", sub),
		"the list of webhooks": func(n int) error {
			ids := make([]string, 100)
			for i := range ids {
				ids[i] = fmt.Sprintf("sub_%05d", (n*100+i)%webhooks)
			}
			_, err := g.db.SubscriptionStats(ctx, g.now.Add(-24*time.Hour), ids...)
			return err
		},
		"health": func(int) error { _, err := g.db.Health(ctx, g.now); return err },
		"what a replay would recover": func(n int) error {
			from := g.now.Add(-time.Duration(n%100+1) * time.Hour)
			_, err := g.db.Unsuccessful(ctx, from, from.Add(time.Hour), nil, []string{"given_up"}, store.ReplayCursor{}, 20)
			return err
		},
		"what a backfill would match": func(n int) error {
			from := g.now.Add(-time.Duration(n%100+1) * time.Hour)
			_, err := g.db.EventsBetween(ctx, from, from.Add(time.Hour), nil, store.ReplayCursor{}, 100, false)
			return err
		},
		"the last events": func(int) error {
			return g.db.RecentEvents(ctx, 200, false, func(*store.Event, []byte) bool { return true })
		},
	}
	return out
}

var wholeTable = regexp.MustCompile(`Seq Scan on (attempts|deliveries|events)(_\d+)?\b`)

// explain is the plan of a query.
func (g *grown) explain(q asked) (string, error) {
	rows, err := g.pool.QueryContext(ctx, "explain "+q.text, q.args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", err
		}
		plan.WriteString(line + "\n")
	}
	return plan.String(), rows.Err()
}

// plans fails the test for a read whose plan goes through a whole table.
func (g *grown) plans(t *testing.T) {
	t.Helper()
	explained := 0
	// Tomorrow's partition is there already, and nothing in it.
	empty := "Seq Scan on attempts_" + g.now.AddDate(0, 0, 1).Format("20060102")
	for name, read := range g.reads() {
		g.ledger.take()
		if err := read(3); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, q := range g.ledger.take() {
			if !strings.HasPrefix(strings.TrimSpace(q.text), "select") && !strings.HasPrefix(strings.TrimSpace(q.text), "with") {
				continue
			}
			plan, err := g.explain(q)
			if err != nil {
				t.Fatalf("%s: explaining %s: %v", name, q.text, err)
			}
			explained++
			for _, found := range wholeTable.FindAllString(plan, -1) {
				if found == empty {
					continue
				}
				t.Errorf("%s has a %s:\n%s\n%s", name, found, q.text, plan)
			}
		}
		g.ledger.take()
	}
	// Neither all failures nor all attempts of the webhook.
	plan, err := g.explain(asked{"select * from attempts where subscription_id = $1 and result <> 'delivered' and result <> 'not_sent' order by started_at desc, attempt_id desc limit 51", []any{"sub_00000"}})
	if err != nil || !strings.Contains(plan, "subscription_id_started_at_idx1") {
		t.Errorf("what failed at one webhook is not served by its index: %v\n%s", err, plan)
	}
	if explained < 40 {
		t.Errorf("only %d queries were explained", explained)
	}
}

// Every list, search and chart is answered from indices: none of them goes through
// a whole table of history, however much there is of it.
func TestEveryListSearchAndChartIsServedByIndices(t *testing.T) {
	grow(t, 50_000).plans(t)
}
