package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Tries is a batch of n attempts at one subscription, the first at from, the
// last at to.
func Tries(id string, n int, from, to time.Time, result aftercallv1.Attempt_Result) *store.Batch {
	b := &store.Batch{}
	for i := range n {
		at := from
		if n > 1 {
			at = from.Add(to.Sub(from) / time.Duration(n-1) * time.Duration(i))
		}
		if i == n-1 {
			at = to
		}
		key := fmt.Sprintf("%s_%d_%d", id, at.UnixNano(), i)
		b.Attempts = append(b.Attempts, &store.AttemptAt{
			Attempt: &aftercallv1.Attempt{
				AttemptId: "att_" + key, DeliveryId: "dlv_" + key, EventId: "evt_" + key, SubscriptionId: id, Tenant: "default", EventType: topic.TypeQueue,
				Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.New(at), FirstQueuedAt: timestamppb.New(at), OccurredAt: timestamppb.New(at), Result: result,
				State: aftercallv1.DeliveryState_DELIVERY_STATE_WAITING,
			},
			Record: &aftercallv1.Position{Topic: topic.History, Offset: at.Unix()*100 + int64(i)}, StoredAt: at,
		})
	}
	return b
}

func failing(t *testing.T, db *store.DB) {
	ctx := context.Background()
	const failed, delivered, notSent = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_RESULT_DELIVERED, aftercallv1.Attempt_RESULT_NOT_SENT
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	long, ago := 3*24*time.Hour, func(d time.Duration) time.Time { return now.Add(-d) }
	project := func(batches ...*store.Batch) {
		t.Helper()
		for _, b := range batches {
			if _, err := db.Project(ctx, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	add := func(id string, changed time.Time) {
		t.Helper()
		s := &subscription.Subscription{ID: id, Version: 4, Tenant: "default", Name: id, Endpoint: "https://a.example/", Active: id != "off", CreatedAt: ago(90 * 24 * time.Hour), UpdatedAt: changed}
		if err := db.CreateSubscription(ctx, s, store.Actor{Name: "tester", Kind: "system"}); err != nil {
			t.Fatal(err)
		}
	}
	old := ago(30 * 24 * time.Hour)
	for _, id := range []string{"exactly", "few", "short", "success", "off", "unsent"} {
		add(id, old)
	}
	add("changed", ago(24*time.Hour))
	last := ago(time.Minute)
	first := last.Add(-long)
	project(
		Tries("exactly", 10, first, last, failed),
		Tries("few", 9, first, last, failed),
		Tries("short", 40, first.Add(time.Second), last, failed),
		Tries("success", 40, first.Add(-long), last, failed), Tries("success", 1, ago(long), ago(long), delivered),
		Tries("off", 40, first, last, failed),
		Tries("unsent", 40, first, last, notSent),
		Tries("changed", 40, first, last, failed),
	)
	judge := func(at time.Time, want ...string) {
		t.Helper()
		got, err := db.FailingSubscriptions(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range got {
			ids = append(ids, f.SubscriptionID)
			if f.Version != 4 || f.Last.Sub(f.Since) < long {
				t.Errorf("it is judged by %+v", f)
			}
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			t.Errorf("failing are %v, want %v", ids, want)
		}
	}
	judge(now) // six of six fail: an outage of our own
	for i := range 5 {
		project(Tries(fmt.Sprintf("well_%d", i), 1, last, last, delivered))
	}
	judge(now) // six of eleven
	project(Tries("well_5", 1, last, last, delivered))
	judge(now, "exactly") // six of twelve: half is not more than half
	project(&store.Batch{Offsets: []store.Offset{{Topic: topic.History, From: 0, To: 1, Until: ago(10 * time.Minute)}}})
	judge(now) // history is behind
	project(&store.Batch{Offsets: []store.Offset{{Topic: topic.History, From: 1, To: 2, Until: now}}})
	judge(now, "exactly")
	project(Tries("exactly", 1, now, now, delivered))
	judge(now)
}
