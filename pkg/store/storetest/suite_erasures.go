package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// The number that is to be erased, in some of the forms in which it comes, and what
// no byte of may be left.
const canary = "12025550142"

var (
	canaryForms  = []string{"+1 (202) 555-0142", "12025550142", "tel:+1-202-555-0142", "sip:+12025550142@sbc.example", "0012025550142"}
	canaryTraces = []string{"2025550142", "555-0142", "555 0142", "5550142"}
)

func digester(t testing.TB) *secret.Keyset {
	t.Helper()
	data, err := secret.NewKeyset()
	must(t, err)
	k, err := secret.Open(data)
	must(t, err)
	return k
}

// Erase plans and runs an erasure to its end, and answers it as counted and as done.
func Erase(t testing.TB, db *store.DB, kind, subject string) (planned, done *store.Erasure) {
	t.Helper()
	e := &store.Erasure{Kind: kind, RequestedBy: "ada"}
	must(t, db.CreateErasure(ctx, e, subject))
	planned = eraseOn(t, db, e)
	if planned.State != store.ErasurePlanned {
		t.Fatalf("counted, it is %s", planned.State)
	}
	must(t, db.StartErasure(ctx, e.ID, "grace"))
	running, err := db.Erasure(ctx, e.ID)
	must(t, err)
	done = eraseOn(t, db, running)
	if done.State != store.ErasureDone || done.Fault != "" {
		t.Fatalf("run, it is %s: %s", done.State, done.Fault)
	}
	return planned, done
}

func eraseOn(t testing.TB, db *store.DB, e *store.Erasure) *store.Erasure {
	t.Helper()
	for x, done := db.Erasing(e), false; !done; {
		var err error
		done, err = db.EraseStep(ctx, x)
		must(t, err)
	}
	out, err := db.Erasure(ctx, e.ID)
	must(t, err)
	return out
}

// Traces are the texts that stand in any table, whatever its columns.
func Traces(t testing.TB, db *store.DB, texts ...string) []string {
	t.Helper()
	query := `select tablename from pg_tables where schemaname = current_schema()`
	if db.Dialect() == "sqlite" {
		query = `select name from sqlite_master where type = 'table'`
	}
	rows, err := db.SQL().QueryContext(ctx, query)
	must(t, err)
	defer rows.Close()
	var tables, found []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	must(t, rows.Err())
	if len(tables) < 20 {
		t.Fatalf("only the tables %v were found", tables)
	}
	for _, table := range tables {
		for _, cells := range cellsOf(t, db, table) {
			for _, text := range texts {
				if bytes.Contains(cells, []byte(text)) {
					found = append(found, fmt.Sprintf("%s in %s: %q", text, table, cells))
				}
			}
		}
	}
	return found
}

func cellsOf(t testing.TB, db *store.DB, table string) (out [][]byte) {
	t.Helper()
	rows, err := db.SQL().QueryContext(ctx, "select * from "+table)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		must(t, rows.Scan(into...))
		var line []byte
		for _, c := range cells {
			if b, ok := c.([]byte); ok {
				line = append(append(line, b...), ' ')
				continue
			}
			line = fmt.Appendf(line, "%v ", c)
		}
		out = append(out, line)
	}
	must(t, rows.Err())
	return out
}

// callersFeed is a Feed some of whose calls are the canary's: one leg names the
// number, an answer repeats it, a rejected record holds it.
func callersFeed(seed uint64, calls int) (records []Record, concerned map[string]bool) {
	concerned = map[string]bool{}
	named := map[string]bool{}
	n := 0
	for _, r := range Feed(seed, calls) {
		scenario := ""
		switch {
		case r.Event != nil:
			scenario = r.Event.GetScenarioId()
		case r.Attempt != nil:
			scenario = "scenario-" + strings.Split(r.Attempt.GetCallId(), "-")[1]
		case r.Rejection != nil:
			n++
			if n%2 == 0 {
				m := proto.Clone(r.Rejection.Rejection).(*aftercallv1.Rejection)
				m.Payload = []byte(`{"CallId":"","CallerNumber":"` + canaryForms[n%len(canaryForms)] + `"`)
				r.Rejection = &store.RejectionAt{Rejection: m, Record: r.Rejection.Record, StoredAt: r.Rejection.StoredAt}
			}
		}
		var number int
		if _, err := fmt.Sscanf(scenario, "scenario-%d", &number); err == nil && number%3 == 0 {
			switch {
			case r.Event != nil:
				e := proto.Clone(r.Event).(*aftercallv1.Event)
				if !named[scenario] || named[e.GetEventId()] {
					// A repeat of it names the same.
					named[scenario], named[e.GetEventId()] = true, true
					e.Payload = []byte(`{"CallId":"` + e.GetCallId() + `","CallerNumber":"` + canaryForms[number%len(canaryForms)] + `"}`)
				}
				concerned[e.GetEventId()] = true
				r.Event = e
			case r.Attempt != nil:
				a := proto.Clone(r.Attempt.Attempt).(*aftercallv1.Attempt)
				a.ResponseBody = []byte("thanks for " + canaryForms[number%len(canaryForms)])
				r.Attempt = &store.AttemptAt{Attempt: a, Record: r.Attempt.Record, StoredAt: r.Attempt.StoredAt}
			}
		}
		records = append(records, r)
	}
	return records, concerned
}

// erasures: a number stands nowhere after its erasure, the rest of the history is as
// it was, and what belongs to others is untouched.
func erasures(t *testing.T, db *store.DB) {
	db.SetDigester(digester(t))
	records, concerned := callersFeed(3, 40)
	project(t, db, BatchOf(records...))
	if len(Traces(t, db, canaryTraces...)) < 20 {
		t.Fatal("the number stands hardly anywhere before")
	}
	count := func(table string) (n int) {
		must(t, db.SQL().QueryRowContext(ctx, `select count(*) from `+table).Scan(&n))
		return n
	}
	before := map[string]int{}
	for _, table := range []string{"events", "deliveries", "attempts", "rejections", "payloads"} {
		before[table] = count(table)
	}
	// Of an older call nothing but the receiver's answer says whose it was.
	old := timestamppb.New(Start.Add(-60 * day))
	answer := attemptOf("att_old", "dlv_old", 1, old.AsTime(), delivered)
	answer.EventId, answer.OccurredAt, answer.ResponseBody = "evt_old", old, []byte(`{"from":"+1 202 555 0142"}`)
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{{EventId: "evt_old", Payload: []byte(`{"CallerNumber":"` + canary + `"}`), OccurredAt: old, RoutedAt: old}}, Attempts: []*store.AttemptAt{answer}})
	must(t, db.ExpirePayloads(ctx, Start.Add(-30*day)))
	for _, table := range []string{"events", "deliveries", "attempts"} {
		before[table]++
	}

	planned, done := Erase(t, db, store.ErasureNumber, canary)
	if found := Traces(t, db, canaryTraces...); len(found) > 0 {
		t.Errorf("it still stands in %d places:\n%s", len(found), strings.Join(found[:min(len(found), 5)], "\n"))
	}
	if planned.Counts != done.Counts || done.Counts.Events != int64(len(concerned)) || done.Counts.Payloads != done.Counts.Events || done.Counts.Attempts == 0 || done.Counts.Rejections == 0 {
		t.Errorf("planned %+v, done %+v, concerned are %d events", planned.Counts, done.Counts, len(concerned))
	}
	for table, n := range before {
		if table == "payloads" {
			n -= len(concerned)
		}
		if count(table) != n {
			t.Errorf("%s has %d rows, want %d", table, count(table), n)
		}
	}
	for _, r := range records {
		if r.Event == nil {
			continue
		}
		payload, err := db.Payload(ctx, r.Event.GetEventId())
		detail, detailErr := db.Event(ctx, r.Event.GetEventId())
		must(t, detailErr)
		if erased := concerned[r.Event.GetEventId()]; erased != errors.Is(err, store.ErrPayloadErased) || erased == detail.ErasedAt.IsZero() || !erased && len(payload) == 0 {
			t.Fatalf("%s is erased: %v; its payload %q, %v, erased at %v", r.Event.GetEventId(), erased, payload, err, detail.ErasedAt)
		}
	}
	if _, again := Erase(t, db, store.ErasureNumber, canary); again.Counts != (store.ErasureCounts{}) {
		t.Errorf("the second time it erased %+v", again.Counts)
	}
	// A later call of the same person is none that was to be erased.
	later := &aftercallv1.Event{EventId: "evt_later", CallId: "later", Payload: []byte(`{"CallerNumber":"` + canary + `"}`), OccurredAt: timestamppb.New(time.Now().Add(time.Hour)), RoutedAt: timestamppb.New(time.Now().Add(time.Hour))}
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{later}})
	if _, err := db.Payload(ctx, "evt_later"); err != nil {
		t.Errorf("a later call lacks its payload: %v", err)
	}
}

// erasedCall: by a call's id, and ids that hold the number.
func erasedCall(t *testing.T, db *store.DB) {
	db.SetDigester(digester(t))
	event := func(id, call, scenario, payload string) *aftercallv1.Event {
		return &aftercallv1.Event{EventId: id, CallId: call, ScenarioId: scenario, Payload: []byte(payload), OccurredAt: timestamppb.New(Start), RoutedAt: timestamppb.New(Start),
			Decisions: []*aftercallv1.Decision{{SubscriptionId: "sub_1", DeliveryId: "dlv_" + id, Outcome: aftercallv1.Decision_OUTCOME_MATCHED}, {SubscriptionId: "sub_2", Outcome: aftercallv1.Decision_OUTCOME_FILTER_ERROR, Detail: "no such value: Dana"}}}
	}
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{
		event("evt_1", "call-1", "s-1", `{"CallerName":"Dana"}`), event("evt_2", "call-2", "s-1", `{"Phrase":"Dana here"}`), event("evt_3", "call-3", "s-3", `{"CallerName":"Noor"}`),
		event("evt_4", "leg-"+canary, "s-4", `{}`), event("evt_5", "call-5", "s-4", `{}`),
	}})
	planned, done := Erase(t, db, store.ErasureCall, "call-1")
	if want := (store.ErasureCounts{Events: 2, Payloads: 2, Waiting: 2}); planned.Counts != want || done.Counts != want {
		t.Errorf("planned %+v, erased %+v", planned.Counts, done.Counts)
	}
	if found := Traces(t, db, "Dana"); len(found) != 2 { // of the third and the fourth event
		t.Logf("left: %v", found)
	}
	for id, want := range map[string]bool{"evt_1": true, "evt_2": true, "evt_3": false, "evt_4": false} {
		e, err := db.Event(ctx, id)
		must(t, err)
		if e.PayloadExpired != want || want && slices.ContainsFunc(e.Decisions, func(d store.Decision) bool { return d.Detail != "" }) {
			t.Errorf("%s is erased: %v, with %+v", id, e.PayloadExpired, e.Decisions)
		}
	}
	// A leg that comes late belongs to it; one of another day under the same id does not.
	late, other := event("evt_late", "call-9", "s-1", `{"CallerName":"Dana"}`), event("evt_other", "call-1", "s-9", `{"CallerName":"Dana"}`)
	other.OccurredAt = timestamppb.New(Start.Add(-30 * day))
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{late}})
	if _, err := db.Payload(ctx, "evt_late"); !errors.Is(err, store.ErrPayloadErased) {
		t.Errorf("the late leg: %v", err)
	}
	// An id that holds the number is replaced, the same everywhere.
	if _, done = Erase(t, db, store.ErasureNumber, canary); done.Counts.Events != 2 || done.Counts.IDs != 1 {
		t.Errorf("erased %+v", done.Counts)
	}
	if found := Traces(t, db, canaryTraces...); len(found) > 0 {
		t.Errorf("left: %v", found)
	}
	e, err := db.Event(ctx, "evt_4")
	must(t, err)
	d, err := db.Delivery(ctx, "dlv_evt_4")
	must(t, err)
	if !strings.HasPrefix(e.CallID, "erased-") || d.CallID != e.CallID {
		t.Errorf("the event is of call %q, its delivery of %q", e.CallID, d.CallID)
	}
	if call, err := db.Call(ctx, e.CallID); err != nil || len(call.Events) != 2 {
		t.Errorf("its call: %v, %v", call, err)
	}
}

// erasedStays: whatever is projected again, in any order, and however much of it
// before the erasure and after, it does not come back; and all ways lead to one store.
func erasedStays(t *testing.T, db *store.DB, open func(testing.TB) *store.DB) {
	keys := digester(t)
	records, _ := callersFeed(11, 24)
	want := ""
	for seed := range uint64(3) {
		if seed > 0 {
			db = open(t)
		}
		db.SetDigester(keys)
		random := rand.New(rand.NewPCG(seed, 1))
		split := []int{len(records), len(records) / 2, 0}[seed]
		project(t, db, BatchOf(records[:split]...))
		Erase(t, db, store.ErasureNumber, canary)
		rest := slices.Clone(records[split:])
		rest = append(rest, records[:split/2]...) // and some of it again
		random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		for len(rest) > 0 {
			n := min(1+random.IntN(40), len(rest))
			project(t, db, BatchOf(rest[:n]...))
			rest = rest[n:]
		}
		if found := Traces(t, db, canaryTraces...); len(found) > 0 {
			t.Fatalf("%d before: it came back in %d places:\n%s", split, len(found), strings.Join(found[:min(len(found), 5)], "\n"))
		}
		got := Dump(t, db)
		if want == "" {
			want = got
		}
		if d := difference(want, got); d != "" {
			t.Errorf("%d before: %s", split, d)
		}
		// Rebuilt from the topics: the rows are gone, the erasures are not.
		for _, table := range []string{"events", "event_repeats", "event_decisions", "deliveries", "attempts", "deferrals", "rejections", "endpoint_changes", "endpoints", "subscription_hours"} {
			_, err := db.Writer().ExecContext(ctx, "delete from "+table)
			must(t, err)
		}
		if db.Dialect() == "postgres" {
			_, err := db.Writer().ExecContext(ctx, "delete from payloads")
			must(t, err)
		}
		project(t, db, BatchOf(records...))
		if d := difference(want, Dump(t, db)); d != "" {
			t.Errorf("%d before, rebuilt: %s", split, d)
		}
	}
	// Without the key of the digests nothing is projected: it could not be told.
	db.SetDigester(digester(t))
	blind := open(t)
	blind.SetDigester(keys)
	Erase(t, blind, store.ErasureNumber, canary)
	blind.SetDigester(digester(t))
	if _, err := blind.Project(ctx, BatchOf(records...)); !errors.Is(err, store.ErrErasureKey) {
		t.Errorf("with another key: %v", err)
	}
}
