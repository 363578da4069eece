package storetest

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// arrived is an event of a source topic, as the router writes it.
func arrived(id, source string, offset int64, at time.Time) *aftercallv1.Event {
	return &aftercallv1.Event{
		EventId: id, Tenant: "default", CallId: id, EventType: topic.TypeQueue, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, OccurredAt: timestamppb.New(at), RoutedAt: timestamppb.New(at),
		Payload: []byte("{}"), Position: &aftercallv1.Position{Topic: source, Offset: offset},
	}
}

func healthCounts(t *testing.T, db *store.DB) {
	now := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	week := 7 * 24 * time.Hour
	read := func() store.Health {
		t.Helper()
		h, err := db.Health(ctx, now)
		must(t, err)
		return h
	}
	if h := read(); len(h.Sources) != 0 || h.WeekKnown || !h.OldestUnsent.IsZero() {
		t.Errorf("an empty store says %+v", h)
	}
	b := &store.Batch{}
	at := func(source string, ats ...time.Time) {
		for i, when := range ats {
			b.Events = append(b.Events, arrived(fmt.Sprintf("evt_%s_%d", source, when.UnixMicro()), source, int64(i), when))
		}
	}
	at(topic.CDRQueue, now.Add(-time.Second), now.Add(-59*time.Minute), now.Add(-2*time.Hour), now.Add(-25*time.Hour), now.Add(-week), now.Add(-week-30*time.Minute), now.Add(-week-45*time.Minute))
	at(topic.CDRIvr, now.Add(-week-10*time.Minute))
	project(t, db, b)
	project(t, db, b)
	h := read()
	if len(h.Sources) != 2 || h.WeekKnown {
		t.Fatalf("the sources are %+v", h)
	}
	for _, s := range h.Sources {
		want := store.SourceHealth{Topic: topic.CDRIvr, HourLastWeek: 1}
		if s.Topic == topic.CDRQueue {
			want = store.SourceHealth{Topic: topic.CDRQueue, Last: now.Add(-time.Second), LastHour: 2, HourLastWeek: 3}
		}
		if s != want {
			t.Errorf("of a source it says\n%+v, want\n%+v", s, want)
		}
	}
	// Repeats are counted once each, however often they are projected.
	again := arrived(b.Events[0].EventId, topic.CDRQueue, 77, now)
	again.DuplicateOf = b.Events[0].Position
	later := arrived("evt_old", topic.CDRQueue, 78, now.Add(-8*24*time.Hour))
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{again, later}})
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{again}})
	h = read()
	for _, s := range h.Sources {
		if s.Topic == topic.CDRQueue && (s.Duplicates != 1 || s.LastHour != 2) {
			t.Errorf("after a repeat it says %+v", s)
		}
	}
	if !h.WeekKnown {
		t.Error("a store that reaches back eight days knows the hour of last week")
	}
	// What has not come to its end counts whether it was tried or not.
	queued := func(id string, when time.Time) *store.RequestedDelivery {
		return &store.RequestedDelivery{By: "ada", Delivery: &aftercallv1.Delivery{DeliveryId: id, EventId: "evt_1", SubscriptionId: "sub_1", FirstQueuedAt: timestamppb.New(when)}}
	}
	project(t, db, &store.Batch{
		Requested: []*store.RequestedDelivery{queued("d1", now.Add(-3*time.Hour)), queued("d2", now.Add(-2*time.Hour)), queued("d3", now.Add(-time.Hour))},
		Attempts:  []*store.AttemptAt{attemptOf("a2", "d2", 1, now.Add(-90*time.Minute), waiting)},
	})
	if h := read(); !h.OldestUnsent.Equal(now.Add(-3*time.Hour)) || !h.Oldest.Equal(now.Add(-2*time.Hour)) || h.Waiting != 1 {
		t.Errorf("the oldest unsent is of %v, the oldest waiting of %v", h.OldestUnsent, h.Oldest)
	}
	putOff := func(n int32, reason string, at time.Time) *store.DeferralAt {
		return &store.DeferralAt{StoredAt: at, Deferral: &aftercallv1.Deferral{DeliveryId: "d3", EventId: "evt_1", SubscriptionId: "sub_1", Attempt: 1, Deferrals: n, Reason: reason, At: timestamppb.New(at)}}
	}
	project(t, db, &store.Batch{Deferrals: []*store.DeferralAt{putOff(1, "breaker", now.Add(-11*time.Minute)), putOff(2, "rate", now.Add(-9*time.Minute)), putOff(3, "queue_full", now.Add(-8*time.Minute)), putOff(4, "queue_full", now)}})
	if h := read(); fmt.Sprint(h.PutOff) != "[{queue_full 2} {rate 1}]" {
		t.Errorf("what was put off is %v", h.PutOff)
	}
	project(t, db, &store.Batch{Attempts: []*store.AttemptAt{attemptOf("a1", "d1", 1, now.Add(-time.Minute), delivered)}})
	if h := read(); !h.OldestUnsent.Equal(now.Add(-2 * time.Hour)) {
		t.Errorf("the oldest unsent is now of %v", h.OldestUnsent)
	}
}

// charts of a webhook that was fine, then failed, then was left alone.
func charts(t *testing.T, db *store.DB) {
	now := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	const notSent = aftercallv1.Attempt_RESULT_NOT_SENT
	b := &store.Batch{}
	add := func(id string, at time.Time, change func(*aftercallv1.Attempt)) {
		a := attemptOf(id, "dlv_"+id, 1, at, delivered)
		if change != nil {
			change(a.Attempt)
		}
		b.Attempts = append(b.Attempts, a)
	}
	failed := func(status int32, class aftercallv1.Attempt_ErrorClass) func(*aftercallv1.Attempt) {
		return func(a *aftercallv1.Attempt) {
			a.Result, a.HttpStatus, a.ErrorClass, a.State = aftercallv1.Attempt_RESULT_FAILED, status, class, waiting
			a.NextAttemptAt, a.FirstQueuedAt = timestamppb.New(now.Add(time.Minute)), timestamppb.New(a.StartedAt.AsTime().Add(-time.Minute))
		}
	}
	for i := range 100 {
		add(fmt.Sprintf("ok%03d", i), now.Add(-10*time.Minute), func(a *aftercallv1.Attempt) {
			a.Timings.Total = durationpb.New(time.Duration(i+1) * time.Millisecond)
		})
	}
	for i := range 3 {
		add(fmt.Sprintf("f%d", i), now.Add(-3*time.Minute), failed(503, aftercallv1.Attempt_ERROR_CLASS_STATUS))
	}
	add("slow", now.Add(-5*time.Hour), failed(0, aftercallv1.Attempt_ERROR_CLASS_TIMEOUT))
	add("gone", now.Add(-5*time.Hour), func(a *aftercallv1.Attempt) { a.Result, a.HttpStatus, a.State = notSent, 0, givenUp })
	add("long", now.Add(-6*24*time.Hour), nil)
	add("older", now.Add(-8*24*time.Hour), nil)
	// None of these is of this webhook's calls.
	add("test", now.Add(-time.Minute), func(a *aftercallv1.Attempt) {
		failed(500, aftercallv1.Attempt_ERROR_CLASS_STATUS)(a)
		a.Cause, a.State, a.NextAttemptAt = aftercallv1.Cause_CAUSE_TEST, givenUp, nil
	})
	add("other", now.Add(-time.Minute), func(a *aftercallv1.Attempt) { a.SubscriptionId = "sub_2" })
	change := func(id string, kind aftercallv1.EndpointChange_Kind, at time.Time) {
		b.Changes = append(b.Changes, &aftercallv1.EndpointChange{ChangeId: id, SubscriptionId: "sub_1", Kind: kind, Reason: "5 in a row", At: timestamppb.New(at), Until: timestamppb.New(at.Add(time.Hour))})
	}
	opened, closed := aftercallv1.EndpointChange_KIND_BREAKER_OPENED, aftercallv1.EndpointChange_KIND_BREAKER_CLOSED
	change("c1", opened, now.Add(-30*time.Hour))
	change("c2", closed, now.Add(-22*time.Hour-20*time.Minute))
	change("c3", opened, now.Add(-2*time.Minute))
	project(t, db, b)
	project(t, db, b)

	sum := func(c *store.Charts) (delivered, failed, notSent int64) {
		for _, b := range c.Buckets {
			delivered, failed, notSent = delivered+b.Delivered, failed+b.Failed, notSent+b.NotSent
		}
		return
	}
	read := func(rangeName string) *store.Charts {
		t.Helper()
		q, ok := store.ChartOf("sub_1", rangeName, now)
		if !ok {
			t.Fatalf("there is no range %s", rangeName)
		}
		c, err := db.Charts(ctx, q)
		must(t, err)
		return c
	}
	for name, want := range map[string]struct {
		buckets                    int
		delivered, failed, notSent int64
		codes, errors              string
	}{
		"1h":  {30, 100, 3, 0, "[{200 100} {503 3}]", "[{status 3}]"},
		"24h": {24, 100, 4, 1, "[{200 100} {503 3}]", "[{status 3} {timeout 1}]"},
		"7d":  {28, 101, 4, 1, "[{200 101} {503 3}]", "[{status 3} {timeout 1}]"},
	} {
		c := read(name)
		delivered, failed, notSent := sum(c)
		if total := (store.ChartBucket{At: c.From, Delivered: delivered, Failed: failed, NotSent: notSent, P50: c.Total.P50, P95: c.Total.P95, P99: c.Total.P99}); c.Total != total || c.Total.P50 < 40*time.Millisecond {
			t.Errorf("in %s the total is %+v, want %+v", name, c.Total, total)
		}
		if len(c.Buckets) != want.buckets || delivered != want.delivered || failed != want.failed || notSent != want.notSent || fmt.Sprint(c.Codes) != want.codes || fmt.Sprint(c.Errors) != want.errors {
			t.Errorf("in %s there are %d buckets, %d delivered, %d failed, %d not sent, %v, %v, want %+v", name, len(c.Buckets), delivered, failed, notSent, c.Codes, c.Errors, want)
		}
		if !c.CodesFrom.Equal(c.From) || !c.BucketsFrom.Equal(c.From) || c.To.Before(now) {
			t.Errorf("in %s the counts begin at %v and %v, the range is %v to %v", name, c.CodesFrom, c.BucketsFrom, c.From, c.To)
		}
		var busy *store.ChartBucket
		for i := range c.Buckets {
			if b := &c.Buckets[i]; b.Delivered >= 100 {
				busy = b
			} else if b.Delivered+b.Failed == 0 && b.P99 != 0 {
				t.Errorf("in %s an empty bucket took %v", name, b.P99)
			}
		}
		if busy == nil || busy.P50 < 48*time.Millisecond || busy.P50 > 56*time.Millisecond || busy.P95 < 90*time.Millisecond || busy.P95 > 106*time.Millisecond || busy.P99 < busy.P95 {
			t.Errorf("in %s the busy bucket is %+v", name, busy)
		} else if at := now.Add(-10 * time.Minute); at.Before(busy.At) || !at.Before(busy.At.Add(c.Step)) {
			t.Errorf("in %s the busy bucket is that of %v", name, busy.At)
		}
		if c.Waiting.N != 4 || !c.Waiting.Oldest.Equal(now.Add(-5*time.Hour-time.Minute)) || !c.Waiting.Next.Equal(now.Add(time.Minute)) {
			t.Errorf("what waits is %+v", c.Waiting)
		}
		if c.Breaker == nil || c.Breaker.Reason != "5 in a row" || !c.Breaker.Until.Equal(now.Add(58*time.Minute)) {
			t.Errorf("the breaker is %+v", c.Breaker)
		}
		// Left alone from 30 to 22 h 20 min ago, and for two minutes now.
		for i, h := range c.Hours {
			want := store.HourHealth{At: now.Truncate(time.Hour).Add(time.Duration(i-23) * time.Hour)}
			switch i {
			case 0, 1:
				want.LeftAlone = true
			case 18:
				want.Failed = 1
			case 23:
				want.Delivered, want.Failed, want.LeftAlone = 100, 3, true
			}
			if h != want {
				t.Errorf("hour %d is %+v, want %+v", i, h, want)
			}
		}
	}
	project(t, db, &store.Batch{Changes: []*aftercallv1.EndpointChange{{ChangeId: "c4", SubscriptionId: "sub_1", Kind: closed, At: timestamppb.New(now)}}})
	if c := read("1h"); c.Breaker != nil {
		t.Errorf("after it closed the breaker is %+v", c.Breaker)
	}
	if _, ok := store.ChartOf("sub_1", "2h", now); ok {
		t.Error("any range is taken")
	}
	q, _ := store.ChartOf("sub_none", "24h", now)
	if c, err := db.Charts(ctx, q); err != nil || len(c.Buckets) != 24 || c.Waiting.N != 0 || c.Breaker != nil || c.Codes != nil {
		t.Errorf("of an unknown webhook: %+v, %v", c, err)
	}
	if _, err := db.Charts(ctx, store.ChartQuery{From: now, To: now}); err == nil {
		t.Error("a range without a length is taken")
	}
}
