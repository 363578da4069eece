package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Run runs the conformance suite against stores that open makes, one a test.
func Run(t *testing.T, open func(testing.TB) *store.DB) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *store.DB)
	}{
		{"the same records give the same rows in any order and any batches", func(t *testing.T, db *store.DB) { anyOrder(t, db, open) }},
		{"projecting twice adds nothing", projectTwice},
		{"a delivery needs no parent and takes the highest state", noParent},
		{"an offset moves only from where it is", offsets},
		{"two projectors of one partition write each record once", twoProjectors},
		{"overlapping batches at once neither deadlock nor lose", overlapping},
		{"poison text, times and identifiers are stored", poison},
		{"attempts of any day are stored", anyDay},
		{"a page never skips or repeats a row", pages},
		{"a forged cursor is refused", forgedCursors},
		{"filters select what they say", filters},
		{"a call is the closure of its records", call},
		{"random calls are what a model says", callClosures},
		{"a call is a tree of its legs", callTrees},
		{"a payload comes back byte for byte until it expires", payloads},
		{"what is past its period goes, payloads first, and what may still be sent stays", retention},
		{"a requested delivery exists before its first attempt", requested},
		{"an attempt keeps its detail", attemptDetail},
		{"statistics count each attempt once and leave tests out", statistics},
		{"the health counts what came in, without reading the events", healthCounts},
		{"charts count each attempt in its bucket and leave tests out", charts},
		{"subscriptions change by version", subscriptions},
		{"a subscription tells when it was off last", lastOff},
		{"a disable request counts for its version only", disableRequests},
		{"what fails for days is found, but not in an outage of our own", failing},
		{"tokens, sessions and login links end when they should", access},
		{"a user's role and state count at once", users},
		{"a password ends other sessions, and a setup link works once", passwords},
		{"the first user is made once", firstUser},
		{"the last administrator stays", lastAdmin},
		{"the audit log keeps who did what", auditLog},
		{"one publisher at a time", publishLock},
		{"one runner of replays at a time, beside a publisher", replayLock},
		{"a lock of a name has one holder, and is nobody else's", namedLocks},
		{"what waits is sent by one at a time, whose progress counts only in turn", sendingWhatWaits},
		{"the last events are those of calls, newest first", recentEvents},
		{"a replay keeps its plan, and its progress only in turn", replays},
		{"what a replay reads comes in order, once, from where it was", replayReads},
		{"a number stands nowhere after its erasure, and the rest stays", erasures},
		{"a call is erased with the legs that come later", erasedCall},
		{"what was erased does not come back, whatever is projected again", func(t *testing.T, db *store.DB) { erasedStays(t, db, open) }},
		{"another store erases what is kept of an erasure", func(t *testing.T, db *store.DB) { erasureRestored(t, db, open) }},
		{"an erasure is planned, run once, and forgotten when Kafka has", erasureEnds},
		{"freshness grows old by itself", freshness},
		{"the public views have their columns", views},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

var ctx = context.Background()

func project(t testing.TB, db *store.DB, b *store.Batch) store.Projected {
	t.Helper()
	n, err := db.Project(ctx, b)
	if err != nil {
		t.Fatalf("projecting: %v", err)
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func anyOrder(t *testing.T, db *store.DB, open func(testing.TB) *store.DB) {
	rs := Feed(1, 40)
	project(t, db, BatchOf(rs...))
	want := Dump(t, db)
	CheckModel(t, db, ModelOf(rs))
	for seed := range uint64(6) {
		other := open(t)
		r := rand.New(rand.NewPCG(seed, 7))
		shuffled := slices.Clone(rs)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		// Some records come twice, in other batches.
		for range len(rs) / 4 {
			shuffled = append(shuffled, rs[r.IntN(len(rs))])
		}
		for len(shuffled) > 0 {
			n := 1 + r.IntN(min(len(shuffled), 60))
			project(t, other, BatchOf(shuffled[:n]...))
			shuffled = shuffled[n:]
		}
		if got := Dump(t, other); got != want {
			t.Fatalf("order %d differs in %s", seed, difference(want, got))
		}
	}
}

// CheckModel compares a store with the model of what was projected into it.
func CheckModel(t testing.TB, db *store.DB, m Model) {
	t.Helper()
	deliveries, next, err := db.Deliveries(ctx, store.DeliveryQuery{Page: store.Page{Limit: 1000}})
	must(t, err)
	if next != "" || len(deliveries) != len(m.Deliveries) {
		t.Fatalf("%d deliveries, want %d", len(deliveries), len(m.Deliveries))
	}
	for _, d := range deliveries {
		got := ModelDelivery{
			EventID: d.EventID, SubscriptionID: d.SubscriptionID, State: d.State, Reason: d.Reason, LastAttemptID: d.LastAttemptID,
			Result: d.Result, RequestedBy: d.RequestedBy, Attempt: d.Attempt, Next: d.NextAttemptAt,
		}
		if want := m.Deliveries[d.DeliveryID]; got != want {
			t.Errorf("delivery %s:\n got %+v\nwant %+v", d.DeliveryID, got, want)
		}
	}
	var attempts []string
	for q := (store.AttemptQuery{Page: store.Page{Limit: 37}}); ; {
		page, next, err := db.Attempts(ctx, q)
		must(t, err)
		for _, a := range page {
			attempts = append(attempts, a.AttemptID)
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if !slices.Equal(attempts, m.Attempts) {
		t.Errorf("%d attempts, want these %d in this order", len(attempts), len(m.Attempts))
	}
	for id, repeats := range m.Events {
		e, err := db.Event(ctx, id)
		must(t, err)
		if len(e.Repeats) != repeats || len(e.Decisions) != m.Decisions[id] || e.Duplicate {
			t.Errorf("event %s: %d repeats and %d decisions, want %d and %d", id, len(e.Repeats), len(e.Decisions), repeats, m.Decisions[id])
		}
	}
	rejections, _, err := db.Rejections(ctx, store.RejectionQuery{Page: store.Page{Limit: 1000}})
	must(t, err)
	if len(rejections) != m.Rejections {
		t.Errorf("%d rejections, want %d", len(rejections), m.Rejections)
	}
	stats, err := db.SubscriptionStats(ctx, Start.Add(-time.Hour))
	must(t, err)
	for id, s := range stats {
		if s.Delivered != m.Delivered[id] || s.Failed != m.Failed[id] || s.Attempts != s.Delivered+s.Failed {
			t.Errorf("statistics of %s: %d delivered and %d failed, want %d and %d", id, s.Delivered, s.Failed, m.Delivered[id], m.Failed[id])
		}
	}
}

func projectTwice(t *testing.T, db *store.DB) {
	rs := Feed(2, 10)
	first := project(t, db, BatchOf(rs...))
	m := ModelOf(rs)
	if int(first.Attempts) != len(m.Attempts) || int(first.Events) != len(m.Events) || int(first.Rejections) != m.Rejections || int(first.Changes) != m.Changes {
		t.Errorf("counted %+v as new", first)
	}
	want := Dump(t, db)
	second := project(t, db, BatchOf(rs...))
	if second.Attempts+second.Events+second.Deferrals+second.Rejections+second.Changes != 0 {
		t.Errorf("counted %+v as new the second time", second)
	}
	if got := Dump(t, db); got != want {
		t.Errorf("differs in %s", difference(want, got))
	}
}

// attemptOf is a plain attempt to vary.
func attemptOf(id, delivery string, n int32, at time.Time, state aftercallv1.DeliveryState) *store.AttemptAt {
	a := &aftercallv1.Attempt{
		AttemptId: id, DeliveryId: delivery, EventId: "evt_1", SubscriptionId: "sub_1", Tenant: "default", EventType: topic.TypeQueue, CallId: "call-1",
		Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: n, AttemptsAllowed: 13, StartedAt: timestamppb.New(at), State: state,
		Result: aftercallv1.Attempt_RESULT_FAILED, ErrorClass: aftercallv1.Attempt_ERROR_CLASS_STATUS, HttpStatus: 503,
		Timings: &aftercallv1.Timings{Total: durationpb.New(20 * time.Millisecond)}, OccurredAt: timestamppb.New(at.Add(-time.Second)),
	}
	if state == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED {
		a.Result, a.ErrorClass, a.HttpStatus = aftercallv1.Attempt_RESULT_DELIVERED, 0, 200
	}
	return &store.AttemptAt{Attempt: a, Record: &aftercallv1.Position{Topic: topic.History, Offset: at.Unix()}, StoredAt: at}
}

const (
	waiting   = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
	delivered = aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
	givenUp   = aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
)

func noParent(t *testing.T, db *store.DB) {
	state := func() string {
		t.Helper()
		d, err := db.Delivery(ctx, "dlv_1")
		must(t, err)
		return fmt.Sprintf("%s %d %s", d.State, d.Attempt, d.Reason)
	}
	deferral := func(n, deferrals int32, at time.Time) *store.Batch {
		return &store.Batch{Deferrals: []*store.DeferralAt{{StoredAt: at, Deferral: &aftercallv1.Deferral{
			DeliveryId: "dlv_1", EventId: "evt_1", SubscriptionId: "sub_1", Attempt: n, Deferrals: deferrals, Reason: "breaker", At: timestamppb.New(at),
		}}}}
	}
	step := func(b *store.Batch, want string) {
		t.Helper()
		project(t, db, b)
		if got := state(); got != want {
			t.Errorf("now %q, want %q", got, want)
		}
	}
	step(deferral(1, 1, Start), "waiting 0 breaker")
	second := attemptOf("a2", "dlv_1", 2, Start.Add(time.Minute), waiting)
	second.Deferrals = 5
	step(&store.Batch{Attempts: []*store.AttemptAt{second}}, "waiting 2 ")
	step(&store.Batch{Attempts: []*store.AttemptAt{attemptOf("a1", "dlv_1", 1, Start.Add(2*time.Minute), waiting)}}, "waiting 2 ")
	step(deferral(3, 1, Start.Add(-time.Hour)), "waiting 2 breaker")
	step(&store.Batch{Attempts: []*store.AttemptAt{attemptOf("a3", "dlv_1", 3, Start, givenUp)}}, "given_up 3 ")
	step(&store.Batch{Events: []*aftercallv1.Event{{EventId: "evt_1", RoutedAt: timestamppb.New(Start), Decisions: []*aftercallv1.Decision{
		{SubscriptionId: "sub_1", DeliveryId: "dlv_1", Outcome: aftercallv1.Decision_OUTCOME_MATCHED},
	}}}}, "given_up 3 ")
	step(&store.Batch{Attempts: []*store.AttemptAt{attemptOf("a0", "dlv_1", 2, Start, delivered)}}, "delivered 2 ")
	step(&store.Batch{Attempts: []*store.AttemptAt{attemptOf("a4", "dlv_1", 4, Start.Add(time.Hour), givenUp)}}, "delivered 2 ")
	if d, err := db.Delivery(ctx, "dlv_1"); err != nil || !d.FirstQueuedAt.Equal(Start.Add(-time.Hour)) || d.LastAttemptID != "a0" || d.Result != "delivered" {
		t.Errorf("in the end it is %+v: %v", d, err)
	}
}

func offsets(t *testing.T, db *store.DB) {
	move := func(from, to int64) error {
		_, err := db.Project(ctx, &store.Batch{
			Attempts: []*store.AttemptAt{attemptOf(fmt.Sprint("a", from, to), "dlv_1", 1, Start, waiting)},
			Offsets:  []store.Offset{{Topic: topic.History, Partition: 1, From: from, To: to}},
		})
		return err
	}
	must(t, move(0, 10))
	must(t, move(10, 15))
	for _, wrong := range [][2]int64{{0, 3}, {10, 20}, {16, 17}} {
		if err := move(wrong[0], wrong[1]); !errors.Is(err, store.ErrOffsetMoved) {
			t.Errorf("moving %v answered %v", wrong, err)
		}
	}
	// A partition that was never projected starts from 0 alone.
	if _, err := db.Project(ctx, &store.Batch{Offsets: []store.Offset{{Topic: topic.Events, From: 5, To: 6}}}); !errors.Is(err, store.ErrOffsetMoved) {
		t.Errorf("moving an unknown offset answered %v", err)
	}
	at, err := db.ProjectedOffsets(ctx)
	must(t, err)
	if at[topic.History][1] != 15 || len(at) != 1 {
		t.Errorf("projected offsets are %v", at)
	}
	page, _, err := db.Attempts(ctx, store.AttemptQuery{})
	must(t, err)
	if len(page) != 2 {
		t.Errorf("%d attempts: a batch that lost was written", len(page))
	}
}

func twoProjectors(t *testing.T, db *store.DB) {
	const records = 60
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for range 2 {
		wg.Go(func() {
			for {
				at, err := db.ProjectedOffsets(ctx)
				if err != nil {
					errs <- err
					return
				}
				from := at[topic.History][0]
				if from == records {
					return
				}
				b := &store.Batch{Offsets: []store.Offset{{Topic: topic.History, From: from, To: from + 1}}}
				b.Attempts = append(b.Attempts, attemptOf(fmt.Sprint("a", from), fmt.Sprint("dlv", from), 1, Start.Add(time.Duration(from)*time.Second), delivered))
				if _, err := db.Project(ctx, b); err != nil && !errors.Is(err, store.ErrOffsetMoved) {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	stats, err := db.SubscriptionStats(ctx, Start.Add(-time.Hour))
	must(t, err)
	if got := stats["sub_1"].Delivered; got != records {
		t.Errorf("%d counted as delivered, want %d", got, records)
	}
}

func overlapping(t *testing.T, db *store.DB) {
	rs := Feed(3, 60)
	want := ModelOf(rs)
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(p), 1))
			mine := slices.Clone(rs)
			r.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			for i := 0; i < len(mine); i += 50 {
				if _, err := db.Project(ctx, BatchOf(mine[i:min(i+50, len(mine))]...)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	CheckModel(t, db, want)
}

func poison(t *testing.T, db *store.DB) {
	nasty := "a\x00b\xff" + strings.Repeat("é", 3000)
	e := &aftercallv1.Event{
		EventId: "evt_x", Tenant: nasty, Source: nasty, EventType: nasty, CeId: nasty, CallId: nasty, ScenarioId: nasty, ParentId: nasty, OuPath: nasty,
		OccurredAt: &timestamppb.Timestamp{Seconds: -1 << 61}, RoutedAt: &timestamppb.Timestamp{Seconds: 1 << 61, Nanos: -5},
		Payload: []byte{0, 0xff, 0}, Warnings: []string{nasty}, Traceparent: nasty,
		Decisions: []*aftercallv1.Decision{
			{SubscriptionId: nasty, DeliveryId: "dlv_x", Outcome: aftercallv1.Decision_OUTCOME_MATCHED},
			{SubscriptionId: nasty, Outcome: aftercallv1.Decision_OUTCOME_FILTER_ERROR, Detail: nasty},
			{SubscriptionId: "s", Outcome: 99},
		},
	}
	a := attemptOf("att_x", "dlv_x", 1, Start, waiting)
	a.EventId = "evt_x"
	a.CallId, a.Error, a.ResponseBody, a.StateReason, a.RemoteAddress, a.RequestUrl = nasty, nasty, []byte(nasty), nasty, nasty, nasty
	a.ResponseHeaders = []*aftercallv1.HttpHeader{{Name: nasty, Value: nasty}}
	a.Timings.Total = &durationpb.Duration{Seconds: 1 << 62}
	a.HttpStatus, a.Attempt.Attempt, a.Result = -1<<31, 1<<31-1, 77
	bare := &store.AttemptAt{Attempt: &aftercallv1.Attempt{AttemptId: "att_bare", DeliveryId: "dlv_bare"}}
	project(t, db, &store.Batch{
		Events:     []*aftercallv1.Event{e, {EventId: "evt_bare"}},
		Attempts:   []*store.AttemptAt{a, bare},
		Deferrals:  []*store.DeferralAt{{Deferral: &aftercallv1.Deferral{DeliveryId: "dlv_x", Reason: nasty, Sender: nasty, Until: &timestamppb.Timestamp{Nanos: 1 << 30}}}},
		Rejections: []*store.RejectionAt{{Rejection: &aftercallv1.Rejection{Code: nasty, Field: nasty, Reason: nasty, EventType: nasty, Payload: []byte(nasty)}, Record: &aftercallv1.Position{Topic: nasty}}},
		Changes:    []*aftercallv1.EndpointChange{{SubscriptionId: nasty, Kind: 42, Reason: nasty}},
	})
	if page, _, err := db.Attempts(ctx, store.AttemptQuery{CallID: nasty}); err != nil || len(page) != 1 {
		t.Errorf("asking for the same oversized call found %d attempts: %v", len(page), err)
	}
	if c, err := db.Call(ctx, nasty); err != nil || len(c.Events) != 1 {
		t.Errorf("asking for the call answered %v", err)
	}
	got, err := db.Attempt(ctx, "att_x")
	must(t, err)
	if string(got.ResponseBody) != nasty {
		t.Error("the response body changed")
	}
	if p, err := db.Payload(ctx, "evt_x"); err != nil || string(p) != "\x00\xff\x00" {
		t.Errorf("the payload is %q: %v", p, err)
	}
	for _, id := range []string{"\x00", "\xff", nasty} {
		if _, err := db.Event(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown event answered %v", err)
		}
	}
}

func anyDay(t *testing.T, db *store.DB) {
	b := &store.Batch{}
	for i, at := range []time.Time{
		time.Now(), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 23, 59, 59, 999999000, time.UTC),
		time.Date(2026, 3, 29, 2, 30, 0, 0, time.FixedZone("", 7200)), time.Date(2199, 12, 31, 23, 0, 0, 0, time.UTC),
	} {
		b.Attempts = append(b.Attempts, attemptOf(fmt.Sprint("a", i), "dlv_1", int32(i), at, waiting))
	}
	if n := project(t, db, b); n.Attempts != 5 {
		t.Errorf("%d added", n.Attempts)
	}
	if n := project(t, db, b); n.Attempts != 0 {
		t.Errorf("%d added the second time", n.Attempts)
	}
	page, _, err := db.Attempts(ctx, store.AttemptQuery{})
	must(t, err)
	var ids []string
	for _, a := range page {
		ids = append(ids, a.AttemptID)
	}
	if got := strings.Join(ids, " "); got != "a4 a0 a3 a2 a1" {
		t.Errorf("newest first is %s", got)
	}
}
