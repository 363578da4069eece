package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// breakDown fails two rounds of requests, which opens a breaker.
func (b *bench) breakDown() {
	b.t.Helper()
	for range 2 {
		for _, a := range b.act()[Post] {
			b.fail(a.Job, down)
		}
	}
}

var down = outcome.Answer{Status: 503, Class: aftercallv1.Attempt_ERROR_CLASS_STATUS}

func TestAnOpenBreakerPutsOffProbesAndRampsUp(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 100)
	b.breakDown()
	acts := b.act()
	if len(acts[Post]) != 0 || len(acts[Divert]) != 84 || acts[Divert][0].Reason != ReasonBreaker || acts[Divert][0].Tier.Dwell != 30*time.Second {
		t.Fatalf("%d posts, %d put off", len(acts[Post]), len(acts[Divert]))
	}
	for _, a := range acts[Divert] {
		b.Settled(a.Job)
	}
	b.now = b.now.Add(30 * time.Second)
	b.admit("a", 100)
	var together []int
	for b.endpoints["a"].queued() > 0 {
		posts := b.act()[Post]
		together = append(together, len(posts))
		for _, a := range posts {
			b.answer(a.Job)
		}
	}
	if fmt.Sprint(together[:5]) != "[1 2 4 8 8]" {
		t.Errorf("requests at once: %v", together)
	}
	changes := b.Changes()
	if len(changes) != 2 || changes[0].Kind != BreakerOpened || changes[1].Kind != BreakerClosed {
		t.Errorf("%+v", changes)
	}
}

func TestAChangedURLStartsWithACleanSlate(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 20)
	b.breakDown()
	b.subs["a"] = &subscription.Subscription{ID: "a", Version: 2, Active: true, Endpoint: "https://elsewhere.example/"}
	b.admit("a", 8)
	if acts := b.act(); len(acts[Post]) != 8 {
		t.Errorf("%+v", acts)
	}
}

func TestAnEditLetsAFailingEndpointBeTriedAtOnce(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 20)
	b.breakDown()
	b.admit("a", 1)
	if acts := b.act(); len(acts[Post]) != 0 {
		t.Fatalf("before the edit: %+v", acts)
	}
	edited := *b.subs["a"]
	edited.Version++
	b.subs["a"] = &edited
	b.admit("a", 40)
	var together []int
	for b.endpoints["a"].queued() > 0 {
		acts := b.act()
		if len(acts[Divert]) > 0 {
			t.Fatalf("%d put off behind the probe", len(acts[Divert]))
		}
		together = append(together, len(acts[Post]))
		for _, a := range acts[Post] {
			b.answer(a.Job)
		}
	}
	if fmt.Sprint(together[:5]) != "[1 2 4 8 8]" {
		t.Errorf("requests at once: %v", together)
	}
}

func TestAResendGoesOutThroughAnOpenBreaker(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 16)
	b.breakDown()
	b.admit("a", 1, func(d *aftercallv1.Delivery) { d.Cause = aftercallv1.Cause_CAUSE_RESEND })
	if acts := b.act(); len(acts[Post]) != 1 {
		t.Errorf("%+v", acts)
	}
}

func TestRetryAfterHoldsTheOtherDeliveriesToo(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a", "b")
	b.subs["a"].MaxConcurrency = 1
	b.admit("a", 2)
	b.admit("b", 1)
	busy := down
	busy.RetryAfter = "100"
	for _, a := range b.act()[Post] {
		if a.Job.Delivery.GetSubscriptionId() == "a" {
			if v := b.fail(a.Job, busy); v.Wait.Dwell != 2*time.Minute {
				t.Errorf("waits %v", v.Wait.Dwell)
			}
		} else {
			b.answer(a.Job)
		}
	}
	b.admit("b", 1)
	acts := b.act()
	if len(acts[Divert]) != 1 || acts[Divert][0].Reason != ReasonRetryAfter || acts[Divert][0].Tier.Dwell != 2*time.Minute {
		t.Errorf("%+v", acts[Divert])
	}
	if len(acts[Post]) != 1 {
		t.Error("the other endpoint is held too")
	}
}

func TestAnEditFreesWhatARetryAfterHolds(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.subs["a"].MaxConcurrency = 1
	busy := down
	busy.RetryAfter = "999999999"
	answer := func() {
		t.Helper()
		posts := b.act()[Post]
		if len(posts) != 1 {
			t.Fatalf("%d requests", len(posts))
		}
		b.fail(posts[0].Job, busy)
	}
	b.admit("a", 1)
	answer()
	b.admit("a", 1)
	acts := b.act()
	if len(acts[Post]) != 0 || len(acts[Divert]) != 1 || acts[Divert][0].Reason != ReasonRetryAfter {
		t.Fatalf("before the edit: %+v", acts)
	}
	b.Settled(acts[Divert][0].Job)

	edited := *b.subs["a"]
	edited.Version++
	b.subs["a"] = &edited
	b.admit("a", 1)
	answer()
	// It has said so again, and is left alone again.
	b.admit("a", 1)
	if acts := b.act(); len(acts[Post]) != 0 || len(acts[Divert]) != 1 {
		t.Errorf("after the next Retry-After: %+v", acts)
	}
}

func TestHistoryFollowsADeliveryThatIsPutOffAgainAndAgain(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 16)
	b.breakDown()
	next := &aftercallv1.Delivery{}
	var announced []int
	tier := time.Duration(0)
	for n := 1; n <= 144; n++ { // three days of half hours
		b.admit("a", 1, func(d *aftercallv1.Delivery) { d.Deferrals, d.WaitReason = next.GetDeferrals(), next.GetWaitReason() })
		acts := b.act()[Divert]
		if len(acts) != 1 {
			t.Fatalf("%d put off", len(acts))
		}
		a := acts[0]
		if a.Announce {
			announced = append(announced, n)
		} else if a.Tier.Dwell != tier {
			t.Errorf("deferral %d waits %v, the one before %v, and history does not say so", n, a.Tier.Dwell, tier)
		}
		tier = a.Tier.Dwell
		next = &aftercallv1.Delivery{Deferrals: a.Job.Delivery.GetDeferrals() + 1, WaitReason: a.Reason}
		b.Settled(a.Job)
	}
	if tier != 30*time.Minute || fmt.Sprint(announced) != "[1 2 3 4 5 8 16 32 64 128]" {
		t.Errorf("announced %v, the last waits %v", announced, tier)
	}
}

func TestARateLimitPacesAndPutsTheRestOff(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.subs["a"].RateLimit = 2
	b.admit("a", 100)
	sent, put := 0, 0
	for range 500 {
		acts := b.act()
		sent += len(acts[Post])
		for _, a := range acts[Post] {
			b.answer(a.Job)
		}
		for _, a := range acts[Divert] {
			put++
			if a.Reason != ReasonRate || a.Tier.Dwell < 5*time.Second {
				t.Fatalf("%+v", a)
			}
			b.Settled(a.Job)
		}
		b.now = b.now.Add(10 * time.Millisecond)
	}
	if sent < 9 || sent > 11 {
		t.Errorf("%d sent within 5 s at 2/s", sent)
	}
	if put != 88 {
		t.Errorf("%d put off", put)
	}
}
