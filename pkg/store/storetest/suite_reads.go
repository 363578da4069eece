package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func pages(t *testing.T, db *store.DB) {
	b := &store.Batch{}
	for i := range 100 {
		// Many start at the same moment.
		b.Attempts = append(b.Attempts, attemptOf(fmt.Sprintf("a%03d", i), fmt.Sprintf("d%03d", i), 1, Start.Add(time.Duration(i/7)*time.Microsecond), waiting))
	}
	project(t, db, b)
	seen := map[string]int{}
	q := store.AttemptQuery{Page: store.Page{Limit: 9}}
	for round := 0; ; round++ {
		page, next, err := db.Attempts(ctx, q)
		must(t, err)
		for _, a := range page {
			seen[a.AttemptID]++
		}
		// Others are added meanwhile, newer ones.
		project(t, db, &store.Batch{Attempts: []*store.AttemptAt{attemptOf(fmt.Sprintf("z%03d", round), "d", 1, Start.Add(time.Hour), waiting)}})
		if q.Cursor = next; next == "" {
			break
		}
	}
	for i := range 100 {
		if n := seen[fmt.Sprintf("a%03d", i)]; n != 1 {
			t.Errorf("a%03d seen %d times", i, n)
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d rows seen", len(seen))
	}
}

func forgedCursors(t *testing.T, db *store.DB) {
	project(t, db, BatchOf(Feed(4, 10)...))
	_, next, err := db.Attempts(ctx, store.AttemptQuery{Page: store.Page{Limit: 2}})
	must(t, err)
	if next == "" {
		t.Fatal("no next page")
	}
	if _, _, err := db.Attempts(ctx, store.AttemptQuery{Page: store.Page{Limit: 2, Cursor: next}}); err != nil {
		t.Errorf("its own cursor: %v", err)
	}
	changed := []byte(next)
	changed[len(changed)-3] ^= 1
	for _, forged := range []string{"x", "!", "AAAA", string(changed), next + "AA", next[:len(next)-4], strings.Repeat("A", 4000)} {
		if _, _, err := db.Attempts(ctx, store.AttemptQuery{Page: store.Page{Cursor: forged}}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %.20q answered %v", forged, err)
		}
	}
	if _, _, err := db.Deliveries(ctx, store.DeliveryQuery{Page: store.Page{Cursor: next}}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("another list's cursor answered %v", err)
	}
}

func filters(t *testing.T, db *store.DB) {
	rs := Feed(5, 90)
	project(t, db, BatchOf(rs...))
	all, _, err := db.Attempts(ctx, store.AttemptQuery{Page: store.Page{Limit: 1000}})
	must(t, err)
	some := all[len(all)/2]
	for name, c := range map[string]struct {
		q    store.AttemptQuery
		want func(store.Attempt) bool
	}{
		"subscription": {store.AttemptQuery{SubscriptionID: some.SubscriptionID}, func(a store.Attempt) bool { return a.SubscriptionID == some.SubscriptionID }},
		"event type":   {store.AttemptQuery{EventType: some.EventType}, func(a store.Attempt) bool { return a.EventType == some.EventType }},
		"call":         {store.AttemptQuery{CallID: some.CallID}, func(a store.Attempt) bool { return a.CallID == some.CallID }},
		"delivery":     {store.AttemptQuery{DeliveryID: some.DeliveryID}, func(a store.Attempt) bool { return a.DeliveryID == some.DeliveryID }},
		"event":        {store.AttemptQuery{EventID: some.EventID}, func(a store.Attempt) bool { return a.EventID == some.EventID }},
		"delivered":    {store.AttemptQuery{Result: "delivered"}, func(a store.Attempt) bool { return a.Result == "delivered" }},
		"failed":       {store.AttemptQuery{Result: "failed"}, func(a store.Attempt) bool { return a.Result == "failed" }},
		"state":        {store.AttemptQuery{State: "given_up"}, func(a store.Attempt) bool { return a.State == "given_up" }},
		"error":        {store.AttemptQuery{ErrorClass: "timeout"}, func(a store.Attempt) bool { return a.ErrorClass == "timeout" }},
		"code":         {store.AttemptQuery{Status: "503"}, func(a store.Attempt) bool { return a.HTTPStatus == 503 }},
		"code class":   {store.AttemptQuery{Status: "5xx"}, func(a store.Attempt) bool { return a.HTTPStatus/100 == 5 }},
		"no code":      {store.AttemptQuery{Status: "teapot"}, func(a store.Attempt) bool { return false }},
		"cause":        {store.AttemptQuery{Cause: "resend"}, func(a store.Attempt) bool { return a.Cause == "resend" }},
		"retries":      {store.AttemptQuery{MinAttempt: 2}, func(a store.Attempt) bool { return a.Attempt > 1 }},
		"one attempt":  {store.AttemptQuery{MinAttempt: 1, MaxAttempt: 1}, func(a store.Attempt) bool { return a.Attempt == 1 }},
		"no tests":     {store.AttemptQuery{Cause: store.CauseNotTest}, func(a store.Attempt) bool { return a.Cause != "test" }},
		"time": {store.AttemptQuery{From: some.StartedAt, To: some.StartedAt.Add(time.Hour)}, func(a store.Attempt) bool {
			return !a.StartedAt.Before(some.StartedAt) && a.StartedAt.Before(some.StartedAt.Add(time.Hour))
		}},
		"several": {store.AttemptQuery{SubscriptionID: some.SubscriptionID, Result: "failed", Status: "5xx", From: Start}, func(a store.Attempt) bool {
			return a.SubscriptionID == some.SubscriptionID && a.Result == "failed" && a.HTTPStatus/100 == 5
		}},
	} {
		c.q.Limit = 1000
		got, _, err := db.Attempts(ctx, c.q)
		must(t, err)
		want := slices.DeleteFunc(slices.Clone(all), func(a store.Attempt) bool { return !c.want(a) })
		if len(got) != len(want) || len(got) == 0 && name != "no code" {
			t.Errorf("%s: %d attempts, want %d", name, len(got), len(want))
		}
	}
	deliveries, _, err := db.Deliveries(ctx, store.DeliveryQuery{Page: store.Page{Limit: 1000}})
	must(t, err)
	for name, c := range map[string]struct {
		q    store.DeliveryQuery
		want func(store.Delivery) bool
	}{
		"waiting": {store.DeliveryQuery{State: "waiting"}, func(d store.Delivery) bool { return d.State == "waiting" }},
		"call":    {store.DeliveryQuery{CallID: some.CallID}, func(d store.Delivery) bool { return d.CallID == some.CallID }},
		"mixed": {store.DeliveryQuery{SubscriptionID: "sub_1", Result: "failed", Status: "503", ErrorClass: "status", Cause: "call_ended"}, func(d store.Delivery) bool {
			return d.SubscriptionID == "sub_1" && d.Result == "failed" && d.HTTPStatus == 503 && d.Cause == "call_ended"
		}},
		"time":  {store.DeliveryQuery{From: Start, To: Start.Add(time.Hour)}, func(d store.Delivery) bool { return d.FirstQueuedAt.Before(Start.Add(time.Hour)) }},
		"event": {store.DeliveryQuery{EventID: some.EventID, EventType: some.EventType}, func(d store.Delivery) bool { return d.EventID == some.EventID }},
	} {
		c.q.Limit = 1000
		got, _, err := db.Deliveries(ctx, c.q)
		must(t, err)
		want := slices.DeleteFunc(slices.Clone(deliveries), func(d store.Delivery) bool { return !c.want(d) })
		if len(got) != len(want) || len(got) == 0 {
			t.Errorf("deliveries by %s: %d, want %d", name, len(got), len(want))
		}
	}
	events, _, err := db.Events(ctx, store.EventQuery{ScenarioID: "scenario-0003", EventType: "", Page: store.Page{Limit: 1000}})
	must(t, err)
	if len(events) == 0 || slices.ContainsFunc(events, func(e store.Event) bool { return e.ScenarioID != "scenario-0003" }) {
		t.Errorf("events of one scenario are %v", events)
	}
}

func call(t *testing.T, db *store.DB) {
	event := func(id, call, scenario, parent string, at time.Time) *aftercallv1.Event {
		return &aftercallv1.Event{EventId: id, CallId: call, ScenarioId: scenario, ParentId: parent, OccurredAt: timestamppb.New(at), RoutedAt: timestamppb.New(at), Payload: []byte("{}")}
	}
	project(t, db, &store.Batch{
		Events: []*aftercallv1.Event{
			event("evt_1", "ivr", "S", "", Start),
			event("evt_2", "queue", "S", "ivr", Start.Add(time.Minute)),
			event("evt_3", "agent", "", "queue", Start.Add(2*time.Minute)),
			event("evt_4", "transfer", "S2", "agent", Start.Add(3*time.Minute)),
			event("evt_5", "far", "S2", "", Start.Add(4*time.Minute)),
			event("evt_6", "stranger", "T", "", Start.Add(time.Minute)),
			event("evt_7", "later", "S", "", Start.Add(48*time.Hour)),
			event("evt_8", "", "", "", Start),
		},
		Attempts: []*store.AttemptAt{attemptOf("a1", "d1", 1, Start.Add(time.Second), waiting), attemptOf("a2", "d1", 2, Start.Add(time.Minute), delivered)},
	})
	for _, id := range []string{"ivr", "agent", "far", "S2"} {
		c, err := db.Call(ctx, id)
		must(t, err)
		var ids []string
		for _, e := range c.Events {
			ids = append(ids, e.EventID)
		}
		if got := strings.Join(ids, " "); got != "evt_1 evt_2 evt_3 evt_4 evt_5" {
			t.Errorf("call %s is %s", id, got)
		}
		if len(c.Deliveries) != 1 || len(c.Attempts) != 2 || c.Attempts[0].AttemptID != "a1" || c.Truncated {
			t.Errorf("call %s has %d deliveries and %d attempts", id, len(c.Deliveries), len(c.Attempts))
		}
	}
	for _, id := range []string{"nobody", ""} {
		if _, err := db.Call(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("call %q answered %v", id, err)
		}
	}
}

func payloads(t *testing.T, db *store.DB) {
	body := []byte("{\"CallId\":\"1\",  \"x\":\"\\u0000\"}\r\n")
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{{EventId: "evt_1", Payload: body, RoutedAt: timestamppb.New(Start)}}})
	got, err := db.Payload(ctx, "evt_1")
	must(t, err)
	if string(got) != string(body) {
		t.Errorf("payload is %q", got)
	}
	// An earlier record of the same event is the one to keep, whatever comes first.
	earlier := []byte(`{"CallId":"1","v":0}`)
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{{EventId: "evt_1", Payload: earlier, RoutedAt: timestamppb.New(Start.Add(-time.Minute)), Position: &aftercallv1.Position{Topic: "t", Offset: 9}}}})
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{{EventId: "evt_1", Payload: body, RoutedAt: timestamppb.New(Start.Add(-time.Hour)), DuplicateOf: &aftercallv1.Position{Topic: "t"}, Position: &aftercallv1.Position{Topic: "t", Offset: 3}}}})
	if got, err = db.Payload(ctx, "evt_1"); err != nil || string(got) != string(earlier) {
		t.Errorf("payload is %q: %v", got, err)
	}
	e, err := db.Event(ctx, "evt_1")
	must(t, err)
	if len(e.Repeats) != 2 || e.PayloadExpired || e.Position.Offset != 9 {
		t.Errorf("event is %+v", e)
	}
	if _, err := db.Payload(ctx, "evt_2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown event answered %v", err)
	}
	must(t, db.ExpirePayloads(ctx, Start.Add(-time.Second)))
	if _, err := db.Payload(ctx, "evt_1"); !errors.Is(err, store.ErrPayloadExpired) {
		t.Errorf("an expired payload answered %v", err)
	}
	if e, err = db.Event(ctx, "evt_1"); err != nil || !e.PayloadExpired {
		t.Errorf("the event is %+v: %v", e, err)
	}
}

func requested(t *testing.T, db *store.DB) {
	d := &aftercallv1.Delivery{
		DeliveryId: "dlv_r", EventId: "evt_1", SubscriptionId: "sub_1", EventType: topic.TypeQueue, CallId: "call-1", Cause: aftercallv1.Cause_CAUSE_RESEND,
		RequestId: "req_1", Attempt: 1, FirstQueuedAt: timestamppb.New(Start), OccurredAt: timestamppb.New(Start),
	}
	must(t, db.AddDelivery(ctx, d, "ada"))
	must(t, db.AddDelivery(ctx, d, "ada"))
	got, err := db.Delivery(ctx, "dlv_r")
	must(t, err)
	if got.State != "queued" || got.Attempt != 0 || got.RequestedBy != "ada" || got.Cause != "resend" || got.RequestID != "req_1" || !got.FirstQueuedAt.Equal(Start) {
		t.Errorf("before its attempt: %+v", got)
	}
	project(t, db, &store.Batch{Attempts: []*store.AttemptAt{attemptOf("a1", "dlv_r", 1, Start.Add(time.Second), delivered)}})
	must(t, db.AddDelivery(ctx, d, "ada"))
	got, err = db.Delivery(ctx, "dlv_r")
	must(t, err)
	if got.State != "delivered" || got.RequestedBy != "ada" || got.LastAttemptID != "a1" || got.CallEndToDeliveredMS == nil || *got.CallEndToDeliveredMS != 1020 {
		t.Errorf("after its attempt: %+v", got)
	}
	if _, err := db.Delivery(ctx, "dlv_unknown"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown delivery answered %v", err)
	}
}

func attemptDetail(t *testing.T, db *store.DB) {
	a := attemptOf("a1", "dlv_1", 2, Start, waiting)
	a.RequestHeaders = []*aftercallv1.HttpHeader{{Name: "x-b", Value: "2"}, {Name: "x-a", Value: "[secret]"}}
	a.ResponseHeaders = []*aftercallv1.HttpHeader{{Name: "retry-after", Value: "7"}}
	a.ResponseBody, a.ResponseTruncated, a.Error, a.RemoteAddress = []byte("\x00no"), true, "answered 503", "192.0.2.1:443"
	a.Position = &aftercallv1.Position{Topic: topic.Deliveries, Partition: 4, Offset: 99}
	a.NextAttemptAt, a.Deferrals, a.SubscriptionVersion = timestamppb.New(Start.Add(30*time.Second)), 3, 12
	before := proto.Clone(a.Attempt)
	project(t, db, &store.Batch{Attempts: []*store.AttemptAt{a}})
	if !proto.Equal(before, a.Attempt) {
		t.Error("projecting changed the caller's message")
	}
	must(t, db.CreateSubscription(ctx, &subscription.Subscription{ID: "sub_1", Version: 1, Name: "CRM", Tenant: "default", CreatedAt: Start, UpdatedAt: Start}, store.Actor{Name: "ada"}))
	got, err := db.Attempt(ctx, "a1")
	must(t, err)
	if got.SubscriptionName != "CRM" || got.HTTPStatus != 503 || got.State != "waiting" || !got.NextAttemptAt.Equal(Start.Add(30*time.Second)) ||
		len(got.RequestHeaders) != 2 || got.RequestHeaders[1] != (store.Header{Name: "x-a", Value: "[secret]"}) || string(got.ResponseBody) != "\x00no" ||
		!got.ResponseTruncated || got.Position != (store.Position{Topic: topic.Deliveries, Partition: 4, Offset: 99}) || got.Record.Topic != topic.History ||
		got.Timings.Total != 20_000 || got.DurationMS != 20 || got.Deferrals != 3 || got.SubscriptionVersion != 12 || got.WebhookID != "evt_1" {
		t.Errorf("attempt is %+v", got)
	}
	if _, err := db.Attempt(ctx, "a2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown attempt answered %v", err)
	}
}

func statistics(t *testing.T, db *store.DB) {
	now := time.Now().UTC()
	b := &store.Batch{}
	for i := range 100 {
		a := attemptOf(fmt.Sprintf("a%03d", i), fmt.Sprintf("d%03d", i), 1, now.Add(-3*time.Hour), delivered)
		a.Timings.Total = durationpb.New(time.Duration(i+1) * time.Millisecond)
		b.Attempts = append(b.Attempts, a)
	}
	for i := range 5 {
		b.Attempts = append(b.Attempts, attemptOf(fmt.Sprintf("f%03d", i), fmt.Sprintf("e%03d", i), 1, now.Add(-time.Duration(i)*time.Minute), waiting))
		b.Attempts[len(b.Attempts)-1].NextAttemptAt = timestamppb.New(now.Add(time.Duration(i+1) * time.Minute))
	}
	test := attemptOf("t1", "dt", 1, now.Add(-time.Second), givenUp)
	test.Cause = aftercallv1.Cause_CAUSE_TEST
	skipped := attemptOf("n1", "dn", 1, now, givenUp)
	skipped.Result = aftercallv1.Attempt_RESULT_NOT_SENT
	old := attemptOf("o1", "do", 1, now.Add(-72*time.Hour), delivered)
	b.Attempts = append(b.Attempts, test, skipped, old)
	project(t, db, b)
	project(t, db, b)
	all, err := db.SubscriptionStats(ctx, now.Add(-24*time.Hour))
	must(t, err)
	s := all["sub_1"]
	if s.Attempts != 105 || s.Delivered != 100 || s.Failed != 5 || s.Waiting != 5 {
		t.Errorf("counts are %+v", s)
	}
	if s.P95 < 95*time.Millisecond || s.P95 > 106*time.Millisecond {
		t.Errorf("p95 is %v", s.P95)
	}
	if s.LastAttempt == nil || s.LastAttempt.AttemptID != "f000" && s.LastAttempt.AttemptID != "t1" || !s.NextRetry.Equal(store.CleanTime(now.Add(time.Minute))) {
		t.Errorf("last attempt %+v, next retry %v", s.LastAttempt, s.NextRetry)
	}
	var sum store.HourStats
	for _, h := range s.Hourly {
		sum.Delivered += h.Delivered
		sum.Failed += h.Failed
	}
	if sum != (store.HourStats{Delivered: 100, Failed: 5}) || s.Hourly[20].Delivered+s.Hourly[19].Delivered != 100 {
		t.Errorf("hours are %v", s.Hourly)
	}
}
