package storetest

import (
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

var ada = store.Actor{Name: "ada", Kind: "session", Address: "192.0.2.7"}

func subscriptionOf(id string) *subscription.Subscription {
	return &subscription.Subscription{
		ID: id, Version: 1, Tenant: "default", Name: "CRM", Endpoint: "https://example.com/hook", Active: true, Events: []string{topic.TypeQueue},
		Headers: []subscription.Header{{Name: "authorization", Secret: true, Sealed: []byte{1, 0, 2}}}, SealedSecret: []byte{9, 0}, Format: subscription.FormatCDR,
		Timeout: 15 * time.Second, MaxConcurrency: 8, Schedule: "72h", CreatedAt: Start, UpdatedAt: Start,
	}
}

func subscriptions(t *testing.T, db *store.DB) {
	s := subscriptionOf("sub_1")
	must(t, db.CreateSubscription(ctx, s, ada))
	if err := db.CreateSubscription(ctx, s, ada); !errors.Is(err, store.ErrExists) {
		t.Errorf("creating it again answered %v", err)
	}
	must(t, db.CreateSubscription(ctx, subscriptionOf("sub_2"), ada))
	got, err := db.Subscription(ctx, "sub_1")
	must(t, err)
	if got.Endpoint != s.Endpoint || len(got.Headers) != 1 || string(got.Headers[0].Sealed) != "\x01\x00\x02" || got.Timeout != s.Timeout || !got.CreatedAt.Equal(Start) || !got.Active {
		t.Errorf("read back %+v", got)
	}
	got.Version, got.Name = 2, "CRM 2"
	must(t, db.UpdateSubscription(ctx, got, 1, ada))
	if err := db.UpdateSubscription(ctx, got, 1, ada); !errors.Is(err, store.ErrVersion) {
		t.Errorf("a stale change answered %v", err)
	}
	other := *got
	other.ID, other.Version = "sub_9", 2
	if err := db.UpdateSubscription(ctx, &other, 1, ada); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("changing an unknown one answered %v", err)
	}

	// Of many who change the same version one wins.
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			mine := *got
			mine.Version = 3
			switch err := db.UpdateSubscription(ctx, &mine, 2, ada); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrVersion):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d changes of one version", won.Load())
	}

	raised, err := db.RaiseSubscriptionVersion(ctx, "sub_1", 40)
	must(t, err)
	if raised.Version != 40 || raised.Name != "CRM 2" {
		t.Errorf("raised to %+v", raised)
	}
	if _, err := db.RaiseSubscriptionVersion(ctx, "sub_1", 40); !errors.Is(err, store.ErrVersion) {
		t.Errorf("raising to the present one answered %v", err)
	}
	if _, err := db.DeleteSubscription(ctx, "sub_1", 3, ada); !errors.Is(err, store.ErrVersion) {
		t.Errorf("a stale deletion answered %v", err)
	}
	gone, err := db.DeleteSubscription(ctx, "sub_1", 40, ada)
	must(t, err)
	if !gone.Deleted || gone.Version != 41 || gone.SealedSecret != nil {
		t.Errorf("tombstone is %+v", gone)
	}
	if _, err := db.Subscription(ctx, "sub_1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("reading it then answered %v", err)
	}
	if _, err := db.DeleteSubscription(ctx, "sub_1", 0, ada); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting it again answered %v", err)
	}
	got.Version = 42
	if err := db.UpdateSubscription(ctx, got, 2, ada); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("changing a deleted one answered %v", err)
	}
	if _, err := db.DeleteSubscription(ctx, "sub_2", 0, ada); err != nil {
		t.Error(err)
	}
	live, err := db.Subscriptions(ctx, store.SubscriptionQuery{})
	must(t, err)
	all, err := db.Subscriptions(ctx, store.SubscriptionQuery{IncludeDeleted: true})
	must(t, err)
	if len(live) != 0 || len(all) != 2 || !all[0].Deleted {
		t.Errorf("%d live of %d", len(live), len(all))
	}
	log, _, err := db.Audit(ctx, store.AuditQuery{Object: "sub_1"})
	must(t, err)
	if len(log) != 5 || log[0].Action != "subscription.deleted" || log[0].Actor != "ada" || log[4].Action != "subscription.created" || log[4].Detail["version"] != "1" {
		t.Errorf("audit log is %+v", log)
	}
}

func disableRequests(t *testing.T, db *store.DB) {
	must(t, db.CreateSubscription(ctx, subscriptionOf("sub_1"), ada))
	change := func(id string, version int64, kind aftercallv1.EndpointChange_Kind, at time.Time) *aftercallv1.EndpointChange {
		return &aftercallv1.EndpointChange{ChangeId: id, SubscriptionId: "sub_1", SubscriptionVersion: version, Kind: kind, Reason: "gone", At: timestamppb.New(at)}
	}
	project(t, db, &store.Batch{Changes: []*aftercallv1.EndpointChange{
		change("c1", 1, aftercallv1.EndpointChange_KIND_DISABLE_REQUESTED, Start),
		change("c2", 1, aftercallv1.EndpointChange_KIND_BREAKER_OPENED, Start.Add(time.Second)),
		change("c3", 7, aftercallv1.EndpointChange_KIND_DISABLE_REQUESTED, Start),
	}})
	asked, err := db.DisableRequests(ctx)
	must(t, err)
	if len(asked) != 1 || asked[0].ChangeID != "c1" || asked[0].SubscriptionVersion != 1 || asked[0].Reason != "gone" {
		t.Errorf("asked for %+v", asked)
	}
	health, err := db.EndpointHealth(ctx)
	must(t, err)
	if len(health) != 1 || health[0].LastChange != "breaker_opened" {
		t.Errorf("health is %+v", health)
	}
	s := subscriptionOf("sub_1")
	s.Version, s.Active = 2, false
	must(t, db.UpdateSubscription(ctx, s, 1, ada))
	if asked, err = db.DisableRequests(ctx); err != nil || len(asked) != 0 {
		t.Errorf("still asked for %+v: %v", asked, err)
	}
}

func access(t *testing.T, db *store.DB) {
	hash := func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }
	tok := store.Token{ID: "tok_1", Name: "ci", Hash: hash("one"), Scopes: []string{"read", "write"}, CreatedBy: "ada"}
	must(t, db.CreateToken(ctx, tok))
	tok.ID, tok.Hash = "tok_2", hash("two")
	if err := db.CreateToken(ctx, tok); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second token of the name answered %v", err)
	}
	got, err := db.TokenByHash(ctx, hash("one"))
	must(t, err)
	if got.Name != "ci" || !slices.Equal(got.Scopes, []string{"read", "write"}) || got.CreatedAt.IsZero() {
		t.Errorf("token is %+v", got)
	}
	must(t, db.RevokeToken(ctx, "tok_1"))
	if _, err := db.TokenByHash(ctx, hash("one")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a revoked token answered %v", err)
	}
	if err := db.RevokeToken(ctx, "tok_1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoking again answered %v", err)
	}
	tok.ExpiresAt = time.Now().Add(-time.Second)
	must(t, db.CreateToken(ctx, tok))
	if _, err := db.TokenByHash(ctx, hash("two")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an expired token answered %v", err)
	}
	if all, err := db.Tokens(ctx); err != nil || len(all) != 2 {
		t.Errorf("%d tokens: %v", len(all), err)
	}

	must(t, db.CreateSession(ctx, store.Session{Hash: hash("s"), User: "ada", Scopes: []string{"read"}, ExpiresAt: time.Now().Add(time.Hour)}))
	must(t, db.CreateSession(ctx, store.Session{Hash: hash("old"), User: "ada", ExpiresAt: time.Now().Add(-time.Hour)}))
	if s, err := db.SessionByHash(ctx, hash("s")); err != nil || s.User != "ada" || s.Scopes[0] != "read" {
		t.Errorf("session is %+v: %v", s, err)
	}
	if _, err := db.SessionByHash(ctx, hash("old")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an expired session answered %v", err)
	}
	must(t, db.DeleteSession(ctx, hash("s")))
	must(t, db.DeleteSession(ctx, hash("s")))
	if _, err := db.SessionByHash(ctx, hash("s")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted session answered %v", err)
	}

	must(t, db.CreateLoginLink(ctx, store.LoginLink{Hash: hash("l"), User: "admin", Scopes: []string{"admin"}, ExpiresAt: time.Now().Add(time.Hour)}))
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if l, err := db.UseLoginLink(ctx, hash("l")); err == nil && l.User == "admin" {
				taken.Add(1)
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 {
		t.Errorf("a login link was used %d times", taken.Load())
	}
}

func auditLog(t *testing.T, db *store.DB) {
	for i, action := range []string{"call.revealed", "delivery.resent", "call.revealed"} {
		must(t, db.AddAudit(ctx, store.AuditEntry{At: Start.Add(time.Duration(i) * time.Second), Actor: "ada", Kind: "session", Action: action, Object: "x\x00y", Detail: map[string]string{"n": "\x00"}}))
	}
	page, next, err := db.Audit(ctx, store.AuditQuery{Action: "call.revealed", Page: store.Page{Limit: 1}})
	must(t, err)
	if len(page) != 1 || next == "" || !page[0].At.Equal(Start.Add(2*time.Second)) {
		t.Fatalf("page is %+v", page)
	}
	page, next, err = db.Audit(ctx, store.AuditQuery{Action: "call.revealed", Object: "x\x00y", Page: store.Page{Limit: 1, Cursor: next}})
	must(t, err)
	if len(page) != 1 || next != "" || !page[0].At.Equal(Start) {
		t.Errorf("second page is %+v", page)
	}
}

func publishLock(t *testing.T, db *store.DB) {
	release, ok, err := db.PublishLock(ctx)
	must(t, err)
	if !ok {
		t.Fatal("the lock is not free")
	}
	if _, ok, err := db.PublishLock(ctx); err != nil || ok {
		t.Errorf("taken twice: %v %v", ok, err)
	}
	release()
	release()
	release, ok, err = db.PublishLock(ctx)
	if err != nil || !ok {
		t.Fatalf("not free after its release: %v", err)
	}
	release()
}

func freshness(t *testing.T, db *store.DB) {
	at := time.Now().Add(-time.Minute)
	project(t, db, &store.Batch{Offsets: []store.Offset{{Topic: topic.History, Partition: 0, To: 5, Until: at}, {Topic: topic.Events, Partition: 2, To: 1, Until: time.Now()}}})
	fresh, err := db.Freshness(ctx)
	must(t, err)
	if len(fresh) != 2 || fresh[0].Topic != topic.Events || fresh[1].Offset != 5 || fresh[1].LagSeconds < 59 || fresh[1].LagSeconds > 90 || fresh[0].LagSeconds > 30 {
		t.Errorf("freshness is %+v", fresh)
	}
	// Nothing new to project, but it was looked: the offset stays, the time moves.
	project(t, db, &store.Batch{Offsets: []store.Offset{{Topic: topic.History, Partition: 0, From: 5, To: 5, Until: time.Now()}}})
	project(t, db, &store.Batch{Offsets: []store.Offset{{Topic: topic.History, Partition: 0, From: 5, To: 6, Until: at}}})
	project(t, db, &store.Batch{Offsets: []store.Offset{{Topic: topic.History, Partition: 0, From: 6, To: 7}}})
	var lag float64
	must(t, db.SQL().QueryRow(`select lag_s from v_freshness`).Scan(&lag))
	if lag < 0 || lag > 30 {
		t.Errorf("v_freshness says %v s", lag)
	}
}

// viewColumns are public: what is here may only grow.
var viewColumns = map[string][]string{
	"v_attempts": {"attempt_id", "delivery_id", "event_id", "subscription_id", "subscription_name", "event_type", "call_id", "cause", "attempt", "started_at", "result",
		"error_class", "http_status", "duration_ms", "call_end_to_delivered_ms", "next_attempt_at", "state", "reason"},
	"v_deliveries": {"delivery_id", "event_id", "subscription_id", "subscription_name", "event_type", "call_id", "cause", "state", "reason", "attempt", "attempts_allowed",
		"deferrals", "result", "error_class", "http_status", "last_attempt_id", "last_attempt_at", "next_attempt_at", "occurred_at", "first_queued_at", "updated_at",
		"call_end_to_delivered_ms", "request_id", "requested_by"},
	"v_events": {"event_id", "tenant", "source", "event_type", "ce_id", "call_id", "scenario_id", "parent_id", "ou_path", "cause", "occurred_at", "produced_at", "routed_at",
		"matched", "duplicate", "payload_bytes", "topic", "partition", "offset"},
	"v_endpoint_health": {"subscription_id", "subscription_name", "active", "last_attempt_at", "last_success_at", "last_failure_at", "last_change", "last_change_reason",
		"last_change_at", "until"},
	"v_freshness": {"projected_until", "lag_s"},
}

func views(t *testing.T, db *store.DB) {
	must(t, db.CreateSubscription(ctx, subscriptionOf("sub_0"), ada))
	rs := Feed(6, 5)
	project(t, db, BatchOf(rs...))
	for view, want := range viewColumns {
		rows, err := db.SQL().Query("select * from " + view)
		must(t, err)
		got, err := rows.Columns()
		must(t, err)
		n := 0
		for rows.Next() {
			n++
		}
		must(t, rows.Err())
		rows.Close()
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v", view, got)
		}
		if n == 0 {
			t.Errorf("%s is empty", view)
		}
	}
	var named int
	must(t, db.SQL().QueryRow(`select count(*) from v_attempts where subscription_name = 'CRM' and reason is null`).Scan(&named))
	if named == 0 {
		t.Error("v_attempts names no subscription")
	}
}
