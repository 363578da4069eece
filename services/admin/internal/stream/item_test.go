package stream

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// What the stream tells of an attempt, and what the store answers once the same
// record is projected, must not differ in anything.
func TestARowOfTheStreamIsTheRowOfTheList(t *testing.T) {
	db := storetest.SQLite(t)
	now := time.Now().UTC()
	base := func(id string) *aftercallv1.Attempt {
		return &aftercallv1.Attempt{
			AttemptId: id, DeliveryId: "dlv_" + id, EventId: "evt_" + id, SubscriptionId: "sub_1", SubscriptionVersion: 3, Tenant: "default", EventType: "App.QueueWebhook", CallId: "c\x00-1",
			Cause: aftercallv1.Cause_CAUSE_RESEND, Attempt: 2, AttemptsAllowed: 13, StartedAt: timestamppb.New(now), Timings: &aftercallv1.Timings{Total: durationpb.New(84 * time.Millisecond)},
			State: aftercallv1.DeliveryState_DELIVERY_STATE_WAITING, NextAttemptAt: timestamppb.New(now.Add(time.Minute)), OccurredAt: timestamppb.New(now.Add(-time.Second)), FirstQueuedAt: timestamppb.New(now),
		}
	}
	failed, delivered, unsent := base("failed"), base("delivered"), base("unsent")
	failed.Result, failed.ErrorClass, failed.HttpStatus = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_ERROR_CLASS_STATUS, 503
	delivered.Result, delivered.HttpStatus, delivered.State, delivered.NextAttemptAt = aftercallv1.Attempt_RESULT_DELIVERED, 200, aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED, nil
	unsent.Result, unsent.StateReason, unsent.State, unsent.StartedAt = aftercallv1.Attempt_RESULT_NOT_SENT, "deleted", aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED, nil
	for i, m := range []*aftercallv1.Attempt{failed, delivered, unsent} {
		r := record.New(topic.History, m.DeliveryId, m, now)
		r.Offset = int64(i)
		if _, err := db.Project(t.Context(), &store.Batch{Attempts: []*store.AttemptAt{{Attempt: m, Record: record.PositionOf(r), StoredAt: r.Timestamp}}}); err != nil {
			t.Fatal(err)
		}
		want, err := db.Attempt(t.Context(), m.AttemptId)
		if err != nil {
			t.Fatal(err)
		}
		item := decode(r, func(string) string { return want.SubscriptionName })
		if item == nil || item.Kind != KindAttempt {
			t.Fatalf("%s became %+v", m.AttemptId, item)
		}
		got := item.Attempt
		if (got.CallEndToDeliveredMS == nil) != (want.CallEndToDeliveredMS == nil) || got.CallEndToDeliveredMS != nil && *got.CallEndToDeliveredMS != *want.CallEndToDeliveredMS {
			t.Errorf("%s: the time from the call's end differs", m.AttemptId)
		}
		got.CallEndToDeliveredMS, want.CallEndToDeliveredMS = nil, nil
		if got != want.Attempt {
			t.Errorf("the stream says\n%+v, the store\n%+v", got, want.Attempt)
		}
	}
}

func TestWhatIsNoHistoryIsPassedOver(t *testing.T) {
	name := func(string) string { return "" }
	for what, r := range map[string]*kgo.Record{
		"nothing":         {},
		"no message":      {Value: []byte{0xff}, Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte("attempt/1")}}},
		"a newer version": {Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte("attempt/9")}}},
		"another kind":    record.New(topic.History, "k", &aftercallv1.Event{}, time.Now()),
	} {
		if item := decode(r, name); item != nil {
			t.Errorf("%s became %+v", what, item)
		}
	}
}

func TestAFilterSelectsAsTheListDoes(t *testing.T) {
	now := time.Now()
	attempt := &Item{Kind: KindAttempt, Attempt: store.Attempt{SubscriptionID: "s", EventType: "App.QueueWebhook", CallID: "c", DeliveryID: "d", EventID: "e", Result: "failed", State: "waiting", ErrorClass: "status", HTTPStatus: 503, Cause: "replay", Attempt: 2, StartedAt: now}}
	deferral := &Item{Kind: KindDeferral, At: now, Attempt: store.Attempt{SubscriptionID: "s", DeliveryID: "d", State: "waiting"}}
	for name, c := range map[string]struct {
		f                 Filter
		attempt, deferral bool
	}{
		"none":         {Filter{}, true, true},
		"all":          {Filter{Subscription: "s", EventType: "App.QueueWebhook", Call: "c", Delivery: "d", Event: "e", Result: "failed", State: "waiting", Error: "status", Status: "5xx", Cause: "replay"}, true, false},
		"subscription": {Filter{Subscription: "x"}, false, false},
		"event type":   {Filter{EventType: "App.IvrWebhook"}, false, false},
		"delivery":     {Filter{Delivery: "d"}, true, true},
		"result":       {Filter{Result: "delivered"}, false, false},
		"a status":     {Filter{Status: "503"}, true, false},
		"its class":    {Filter{Status: "5XX"}, true, false},
		"another":      {Filter{Status: "4xx"}, false, false},
		"no status":    {Filter{Status: "0"}, false, false},
		"odd status":   {Filter{Status: "xx"}, false, false},
		"a retry":      {Filter{MinAttempt: 2}, true, false},
		"a later one":  {Filter{MinAttempt: 3}, false, false},
		"the second":   {Filter{MinAttempt: 2, MaxAttempt: 2}, true, false},
		"the first":    {Filter{MaxAttempt: 1}, false, false},
		"only":         {Filter{AttemptsOnly: true}, true, false},
		"from":         {Filter{From: now.Add(time.Second)}, false, false},
		"to":           {Filter{To: now}, false, false},
		"within":       {Filter{From: now, To: now.Add(time.Second)}, true, true},
	} {
		if got := c.f.match(attempt); got != c.attempt {
			t.Errorf("%s: the attempt matches: %v", name, got)
		}
		if got := c.f.match(deferral); got != c.deferral {
			t.Errorf("%s: the deferral matches: %v", name, got)
		}
	}
}
