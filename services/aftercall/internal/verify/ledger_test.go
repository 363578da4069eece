package verify

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestWhatIsKeptOfACDRIsSmallHoweverLargeItsPayload(t *testing.T) {
	const n, each = 5000, 2 << 10
	used := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	l := newLedger(Commits{})
	payload := bytes.Repeat([]byte("x"), 20<<10)
	before := used()
	for i := range n {
		id := fmt.Sprintf("evt_%052d", i)
		dlv := fmt.Sprintf("dlv_%026d", i)
		at := &aftercallv1.Position{Topic: topic.CDRQueue, Offset: int64(i)}
		l.record(&kgo.Record{Topic: topic.CDRQueue, Offset: int64(i), Value: payload})
		l.record(record.New(topic.Events, id, &aftercallv1.Event{
			EventId: id, EventType: topic.TypeQueue, CallId: id[:36], Position: at, Payload: payload, OccurredAt: timestamppb.New(start),
			Decisions: []*aftercallv1.Decision{{SubscriptionId: "sub_a", DeliveryId: dlv, Outcome: aftercallv1.Decision_OUTCOME_MATCHED}},
		}, start))
		l.record(record.New(topic.Deliveries, "k", &aftercallv1.Delivery{DeliveryId: dlv, EventId: id, SubscriptionId: "sub_a", Attempt: 1, Payload: payload, Position: at}, start))
		l.record(record.New(topic.History, "k", &aftercallv1.Attempt{
			AttemptId: id[:36], DeliveryId: dlv, EventId: id, SubscriptionId: "sub_a", CallId: id[:36], Attempt: 1, HttpStatus: 200, ResponseBody: payload[:1000],
			Result: aftercallv1.Attempt_RESULT_DELIVERED, State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED,
		}, start))
	}
	kept := (used() - before) / n
	t.Logf("%d bytes for a CDR with one delivery and one attempt", kept)
	if kept > each {
		t.Errorf("%d bytes are kept of each CDR of 20 KiB with one delivery, want at most %d", kept, each)
	}
	runtime.KeepAlive(l)
}

// waiting is a record of a delivery in a delay topic.
func waiting(offset int64, attempt int32, at time.Time) *kgo.Record {
	r := record.New(topic.Tiers[0].Topic, "k", &aftercallv1.Delivery{DeliveryId: "dlv_1", EventId: "evt_1", SubscriptionId: "sub_1", Attempt: attempt}, at)
	r.Offset = offset
	return r
}

func TestWhatWasSentAtOnceIsNotCalledEarly(t *testing.T) {
	released := &aftercallv1.Subscription{Id: "sub_1", Version: 3, Released: []*aftercallv1.Position{{Topic: topic.Tiers[0].Topic, Offset: 8}}}
	edited := &aftercallv1.Subscription{Id: "sub_1", Version: 2}
	for _, tc := range []struct {
		what   string
		sub    *aftercallv1.Subscription
		at     time.Time // of the subscription's version
		offset int64     // of what waits, from start on
		tried  time.Time
		early  bool
	}{
		{"a version from before it waited", edited, start.Add(-time.Minute), 7, start.Add(time.Second), false},
		{"a version since, and the attempt after it", edited, start.Add(time.Second), 7, start.Add(2 * time.Second), true},
		{"an attempt before the version", edited, start.Add(2 * time.Second), 7, start.Add(time.Second), false},
		{"released", released, start.Add(-time.Minute), 7, start.Add(time.Second), true},
		{"not released", released, start.Add(-time.Minute), 8, start.Add(time.Second), false},
	} {
		t.Run(strings.ReplaceAll(tc.what, " ", "_"), func(t *testing.T) {
			l := newLedger(Commits{})
			l.inScope = func(Position) bool { return true }
			l.record(record.New(topic.Subscriptions, "sub_1", tc.sub, tc.at))
			l.record(record.New(topic.Events, "evt_1", &aftercallv1.Event{EventId: "evt_1"}, start))
			l.record(waiting(tc.offset, 2, start))
			if got := l.maySendEarly(l.deliveries["dlv_1"], 2, tc.tried); got != tc.early {
				t.Errorf("may be early: %v", got)
			}
			if l.maySendEarly(l.deliveries["dlv_1"], 3, tc.tried) {
				t.Error("another attempt may be early, too")
			}
		})
	}
}
