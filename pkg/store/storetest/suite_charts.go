package storetest

import (
	"fmt"
	"testing"
	"time"

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
	project(t, db, &store.Batch{Attempts: []*store.AttemptAt{attemptOf("a1", "d1", 1, now.Add(-time.Minute), delivered)}})
	if h := read(); !h.OldestUnsent.Equal(now.Add(-2 * time.Hour)) {
		t.Errorf("the oldest unsent is now of %v", h.OldestUnsent)
	}
}
