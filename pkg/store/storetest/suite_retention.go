package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const day = 24 * time.Hour

// retention looks at rows of three ages: of yesterday, older than payloads are
// kept, older than anything is kept.
func retention(t *testing.T, db *store.DB) {
	now := Start.Truncate(day).Add(100*day + 12*time.Hour)
	keep := store.Retention{Payloads: 30 * day, History: 90 * day, Audit: 365 * day}
	ages := map[string]time.Duration{"new": day, "middle": 40 * day, "old": 95 * day, "stuck": 95 * day}
	for name, age := range ages {
		at := now.Add(-age)
		a, state := attemptOf("att_"+name, "dlv_"+name, 1, at, delivered), delivered
		if name == "stuck" {
			a, state = attemptOf("att_"+name, "dlv_"+name, 1, at, waiting), waiting
		}
		a.EventId, a.FirstQueuedAt, a.State = "evt_"+name, timestamppb.New(at), state
		project(t, db, &store.Batch{
			Events: []*aftercallv1.Event{{
				EventId: "evt_" + name, Payload: []byte(`{}`), RoutedAt: timestamppb.New(at), OccurredAt: timestamppb.New(at),
				Decisions: []*aftercallv1.Decision{{SubscriptionId: "sub_1", Outcome: aftercallv1.Decision_OUTCOME_FILTER_FALSE}},
			}},
			Attempts: []*store.AttemptAt{a},
		})
	}
	var most int64
	must(t, db.SQL().QueryRowContext(ctx, `select count(*) from event_decisions`).Scan(&most))

	counts, err := db.Prune(ctx, now, keep)
	must(t, err)
	if counts["payloads"] != 3 || counts["deliveries"] != 1 || counts["events"] != 1 || counts["attempts"] == 0 {
		t.Errorf("counted %v", counts)
	}
	if _, err := db.Payload(ctx, "evt_new"); err != nil {
		t.Errorf("the payload of yesterday: %v", err)
	}
	if _, err := db.Payload(ctx, "evt_middle"); !errors.Is(err, store.ErrPayloadExpired) {
		t.Errorf("the payload of 40 days ago: %v", err)
	}
	for name := range ages {
		_, eventErr := db.Event(ctx, "evt_"+name)
		_, deliveryErr := db.Delivery(ctx, "dlv_"+name)
		_, attemptErr := db.Attempt(ctx, "att_"+name)
		got := fmt.Sprint(eventErr == nil, deliveryErr == nil, attemptErr == nil)
		want := map[string]string{"new": "true true true", "middle": "true true true", "old": "false false false", "stuck": "true true false"}[name]
		if got != want {
			t.Errorf("%s: event, delivery and attempt are there: %s, want %s (%v, %v, %v)", name, got, want, eventErr, deliveryErr, attemptErr)
		}
	}
	var left int64
	must(t, db.SQL().QueryRowContext(ctx, `select count(*) from event_decisions where event_id = 'evt_old'`).Scan(&left))
	if most != 4 || left != 0 {
		t.Errorf("of %d decisions %d are left of an event that is gone", most, left)
	}

	// Nothing is left to do; and a late record of a day that is gone is no poison.
	if counts, err = db.Prune(ctx, now, keep); err != nil || counts["payloads"]+counts["attempts"]+counts["deliveries"]+counts["events"] != 0 {
		t.Errorf("the second time %v: %v", counts, err)
	}
	project(t, db, &store.Batch{Attempts: []*store.AttemptAt{attemptOf("att_late", "dlv_late", 1, now.Add(-95*day), delivered)}})
	if _, err := db.Attempt(ctx, "att_late"); err != nil {
		t.Errorf("the late attempt: %v", err)
	}

	for _, wrong := range []store.Retention{{History: day, Payloads: day}, {History: 90 * day}, {History: 90 * day, Payloads: 91 * day}, {Audit: -1}} {
		if _, err := db.Prune(ctx, now, wrong); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
	// More than one transaction may delete.
	many := &store.Batch{}
	for i := range 4500 {
		many.Deferrals = append(many.Deferrals, &store.DeferralAt{StoredAt: Start, Deferral: &aftercallv1.Deferral{
			DeliveryId: fmt.Sprint("dlv_", i), SubscriptionId: "sub_1", At: timestamppb.New(Start), Reason: "queue_full",
		}})
	}
	project(t, db, many)
	if counts, err = db.Prune(ctx, now, keep); err != nil || counts["deferrals"] != 4500 {
		t.Errorf("of 4500 deferrals it pruned %d: %v", counts["deferrals"], err)
	}
	before, err := db.Prune(ctx, now.AddDate(10, 0, 0), store.Retention{})
	if err != nil || len(before) != 0 {
		t.Errorf("with no periods it pruned %v: %v", before, err)
	}
}
