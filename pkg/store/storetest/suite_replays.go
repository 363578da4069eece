package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func replayLock(t *testing.T, db *store.DB) {
	release, ok, err := db.ReplayLock(ctx)
	must(t, err)
	if !ok {
		t.Fatal("nobody holds it, and it is not given")
	}
	if _, ok, err := db.ReplayLock(ctx); ok || err != nil {
		t.Errorf("given twice: %v, %v", ok, err)
	}
	publishing, ok, err := db.PublishLock(ctx)
	must(t, err)
	if !ok {
		t.Fatal("it stands in the way of the publisher")
	}
	publishing()
	release()
	again, ok, err := db.ReplayLock(ctx)
	must(t, err)
	if !ok {
		t.Fatal("not given again")
	}
	again()
}

func replays(t *testing.T, db *store.DB) {
	for i := range 3 {
		must(t, db.CreateReplay(ctx, &store.Replay{
			ID: fmt.Sprintf("rpl_%d", i), Mode: store.ReplayRecover, From: Start, To: Start.Add(time.Hour), Subscriptions: []string{"sub_1"}, States: []string{store.StateGivenUp},
			Why: "the receiver \x00was down", CreatedBy: "ada", CreatedAt: Start.Add(time.Duration(i) * time.Minute), Total: 7,
			Plan: []store.ReplayCount{{SubscriptionID: "sub_1", Send: 5, Skip: map[string]int64{"waiting": 2}}},
		}))
	}
	if err := db.CreateReplay(ctx, &store.Replay{ID: "rpl_0", From: Start, To: Start}); !errors.Is(err, store.ErrExists) {
		t.Errorf("planning it again answered %v", err)
	}
	r, err := db.Replay(ctx, "rpl_1")
	must(t, err)
	if r.State != store.ReplayPlanned || !r.From.Equal(Start) || !r.To.Equal(Start.Add(time.Hour)) || !slices.Equal(r.Subscriptions, []string{"sub_1"}) || r.Total != 7 || r.CreatedBy != "ada" ||
		len(r.Plan) != 1 || r.Plan[0].Send != 5 || r.Plan[0].Skip["waiting"] != 2 || r.Cursor.ID != "" || !r.StartedAt.IsZero() {
		t.Errorf("read back %+v", r)
	}
	must(t, db.StartReplay(ctx, "rpl_1", 50, ada))
	if err := db.StartReplay(ctx, "none", 50, ada); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("starting an unknown one answered %v", err)
	}
	running, err := db.RunningReplays(ctx)
	must(t, err)
	if len(running) != 1 || running[0].ID != "rpl_1" || running[0].Rate != 50 || running[0].StartedBy != "ada" || running[0].StartedAt.IsZero() {
		t.Fatalf("running are %+v", running)
	}

	// Progress counts from where it was read, and only from there.
	before := *running[0]
	after := before
	after.Sent, after.Skipped, after.SkippedFor, after.Cursor = 3, 1, map[string]int64{"waiting": 1}, store.ReplayCursor{At: Start.Add(time.Minute), ID: "dlv_3"}
	must(t, db.SaveReplay(ctx, &before, &after))
	if err := db.SaveReplay(ctx, &before, &after); !errors.Is(err, store.ErrVersion) {
		t.Errorf("saving from a stale place answered %v", err)
	}
	must(t, db.CancelReplay(ctx, "rpl_1", ada))
	more := after
	more.Sent, more.Cursor.ID = 4, "dlv_4"
	must(t, db.SaveReplay(ctx, &after, &more))
	must(t, db.EndReplay(ctx, "rpl_1", store.ReplayDone, ""))
	r, err = db.Replay(ctx, "rpl_1")
	must(t, err)
	if r.State != store.ReplayCancelled || r.Sent != 4 || r.Skipped != 1 || !maps.Equal(r.SkippedFor, map[string]int64{"waiting": 1}) || r.Cursor.ID != "dlv_4" || !r.Cursor.At.Equal(Start.Add(time.Minute)) || r.EndedBy != "ada" || r.EndedAt.IsZero() {
		t.Errorf("cancelled, it is %+v", r)
	}

	// A cancelled one goes on, and done is the end.
	must(t, db.StartReplay(ctx, "rpl_1", 10, ada))
	must(t, db.EndReplay(ctx, "rpl_1", store.ReplayDone, ""))
	r, err = db.Replay(ctx, "rpl_1")
	must(t, err)
	if r.State != store.ReplayDone || r.Total != 5 || r.Rate != 10 || r.EndedAt.IsZero() {
		t.Errorf("done, it is %+v", r)
	}
	if err := db.StartReplay(ctx, "rpl_1", 10, ada); !errors.Is(err, store.ErrVersion) {
		t.Errorf("starting one that is done answered %v", err)
	}
	if err := db.CancelReplay(ctx, "rpl_1", ada); !errors.Is(err, store.ErrVersion) {
		t.Errorf("cancelling one that is done answered %v", err)
	}

	var ids []string
	for q := (store.ReplayQuery{Page: store.Page{Limit: 1}}); ; {
		page, next, err := db.Replays(ctx, q)
		must(t, err)
		for _, r := range page {
			ids = append(ids, r.ID)
		}
		if q.Cursor = next; next == "" {
			break
		}
	}
	if !slices.Equal(ids, []string{"rpl_2", "rpl_1", "rpl_0"}) {
		t.Errorf("listed are %v", ids)
	}
}

func replayReads(t *testing.T, db *store.DB) {
	project(t, db, BatchOf(Feed(11, 60)...))
	from, to := Start.Add(-24*time.Hour), Start.Add(30*24*time.Hour)
	states := []string{store.StateGivenUp, store.StateStopped}

	want := map[string]bool{}
	for _, state := range states {
		page, _, err := db.Deliveries(ctx, store.DeliveryQuery{State: state, Page: store.Page{Limit: 1000}})
		must(t, err)
		for _, d := range page {
			if d.Cause != store.CauseTest {
				want[d.DeliveryID] = true
			}
		}
	}
	got := map[string]bool{}
	var cursor store.ReplayCursor
	for {
		part, err := db.Unsuccessful(ctx, from, to, nil, states, cursor, 3)
		must(t, err)
		if len(part) == 0 {
			break
		}
		for _, d := range part {
			if got[d.DeliveryID] || d.QueuedAt.Before(cursor.At) {
				t.Fatalf("%s comes twice, or out of order", d.DeliveryID)
			}
			got[d.DeliveryID] = true
			cursor = store.ReplayCursor{At: d.QueuedAt, ID: d.DeliveryID}
		}
	}
	if !maps.Equal(got, want) || len(want) == 0 {
		t.Errorf("%d deliveries without success, want %d", len(got), len(want))
	}

	events, next, err := db.Events(ctx, store.EventQuery{Cause: store.CauseCallEnded, Page: store.Page{Limit: 1000}})
	must(t, err)
	if next != "" || len(events) == 0 {
		t.Fatalf("%d events, next %q", len(events), next)
	}
	known := map[string]bool{}
	cursor = store.ReplayCursor{}
	var ids []string
	for {
		part, err := db.EventsBetween(ctx, from, to, nil, cursor, 7, true)
		must(t, err)
		if len(part) == 0 {
			break
		}
		for _, e := range part {
			if known[e.EventID] || e.OccurredAt.Before(cursor.At) {
				t.Fatalf("%s comes twice, or out of order", e.EventID)
			}
			if !e.PayloadExpired && len(e.Payload) != int(e.PayloadBytes) {
				t.Errorf("%s has %d of %d bytes", e.EventID, len(e.Payload), e.PayloadBytes)
			}
			known[e.EventID], ids = true, append(ids, e.EventID)
			cursor = store.ReplayCursor{At: e.OccurredAt, ID: e.EventID}
		}
	}
	if len(known) != len(events) {
		t.Errorf("%d events, want %d", len(known), len(events))
	}
	must(t, db.ExpirePayloads(ctx, to))
	byID, err := db.EventsByID(ctx, append(ids, "evt_unknown"), false)
	must(t, err)
	if len(byID) != len(ids) || !byID[0].PayloadExpired {
		t.Errorf("%d events by id of %d, expired %v", len(byID), len(ids), byID[0].PayloadExpired)
	}
	of, err := db.DeliveryStates(ctx, ids)
	must(t, err)
	must(t, db.AddDelivery(ctx, &aftercallv1.Delivery{DeliveryId: "dlv_replayed", EventId: ids[0], SubscriptionId: "sub_1", Cause: aftercallv1.Cause_CAUSE_REPLAY, RequestId: "rpl_1",
		FirstQueuedAt: timestamppb.New(Start)}, "ada"))
	again, err := db.DeliveryStates(ctx, ids)
	must(t, err)
	if len(of) == 0 || len(again) != len(of)+1 {
		t.Errorf("%d deliveries, then %d", len(of), len(again))
	}
}
