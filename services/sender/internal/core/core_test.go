package core

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// bench is a core with what stands around it.
type bench struct {
	*Core
	t      *testing.T
	now    time.Time
	subs   map[string]*subscription.Subscription
	offset int64
	next   map[int32]int64
	stops  map[string]bool
}

func (b *bench) Get(id string) (*subscription.Subscription, bool) {
	s, ok := b.subs[id]
	return s, ok
}

func (b *bench) Offset() int64 { return b.offset }

func (b *bench) Stopped(id string) bool { return b.stops[id] }

func setup(t *testing.T, cfg Config) *bench {
	t.Helper()
	b := &bench{t: t, now: start, subs: map[string]*subscription.Subscription{}, next: map[int32]int64{}}
	if cfg.PartitionOf == nil {
		cfg.PartitionOf = func(string) int32 { return 0 }
	}
	b.Core = New(cfg, b)
	b.Assign(0, 0, nil, "")
	return b
}

func (b *bench) subscribe(ids ...string) {
	for _, id := range ids {
		b.subs[id] = &subscription.Subscription{ID: id, Version: 1, Active: true, MaxConcurrency: 8}
	}
}

func (b *bench) admit(sub string, n int, change ...func(*aftercallv1.Delivery)) {
	for range n {
		offset := b.next[0]
		d := &aftercallv1.Delivery{
			DeliveryId: fmt.Sprintf("%s-%d", sub, offset), SubscriptionId: sub, Attempt: 1,
			FirstQueuedAt: timestamppb.New(b.now), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
		}
		for _, c := range change {
			c(d)
		}
		b.next[0]++
		b.Admit(&Job{Delivery: d, Offset: offset, Size: 1000}, b.now)
	}
}

// act returns what the core wants done, by kind.
func (b *bench) act() map[Kind][]Action {
	out := map[Kind][]Action{}
	for _, a := range b.Next(b.now) {
		out[a.Kind] = append(out[a.Kind], a)
	}
	return out
}

// answer finishes a post with 200 or, with a verdict, otherwise.
func (b *bench) answer(j *Job) {
	b.fail(j, outcome.Answer{Status: 200})
}

// fail finishes a post with an answer.
func (b *bench) fail(j *Job, a outcome.Answer) outcome.Verdict {
	sub, _ := b.Get(j.Delivery.GetSubscriptionId())
	v := outcome.Decide(a, progressOf(j.Delivery, sub), b.now)
	b.Answered(j, sub, a, v, b.now)
	b.Settled(j)
	return v
}

func (b *bench) commit() int64 {
	b.Committed(b.Commits())
	return b.assignments[0].committed.Offset
}

func TestOneHealthySubscriptionsBacklogIsNeverPutOff(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 1000)
	for done := 0; done < 1000; {
		acts := b.act()
		if len(acts[Divert]) > 0 {
			t.Fatalf("%d put off", len(acts[Divert]))
		}
		if len(acts[Post]) == 0 {
			t.Fatal("nothing to do")
		}
		for _, a := range acts[Post] {
			b.now = b.now.Add(20 * time.Millisecond)
			b.answer(a.Job)
			done++
		}
	}
	if b.commit() != 1000 || b.Stats().Bytes != 0 {
		t.Errorf("commit %d, %+v", b.commit(), b.Stats())
	}
}

func TestABacklogOfOneHealthySubscriptionStopsTheIntakeInstead(t *testing.T) {
	b := setup(t, Config{Budget: 100_000})
	b.subscribe("a")
	b.admit("a", 100)
	if !b.Full() {
		t.Fatal("not full")
	}
	for range 600 {
		acts := b.act()
		if len(acts[Divert]) > 0 {
			t.Fatal("put off")
		}
		for _, a := range acts[Post] {
			b.answer(a.Job)
		}
		b.now = b.now.Add(10 * time.Millisecond)
	}
	if b.Full() {
		t.Error("still full")
	}
}

func TestABlackHoleHoldsItsOwnConcurrencyAndNothingElse(t *testing.T) {
	b := setup(t, Config{MaxRuns: 200})
	b.subscribe("hole", "healthy")
	held := 0
	for second := range 60 {
		for range 50 {
			b.admit("hole", 1)
			b.admit("healthy", 1)
			delivered := 0
			acts := b.act()
			for _, a := range acts[Post] {
				if a.Job.Delivery.GetSubscriptionId() == "hole" {
					held++
					continue
				}
				b.answer(a.Job)
				delivered++
			}
			if delivered != 1 {
				t.Fatalf("second %d: %d of 1 healthy deliveries went out", second, delivered)
			}
			for _, a := range acts[Divert] {
				if a.Job.Delivery.GetSubscriptionId() != "hole" {
					t.Fatal("the healthy one was put off")
				}
				b.Settled(a.Job)
			}
			if pause, _ := b.Intake(); len(pause) > 0 {
				t.Fatalf("second %d: the intake stopped", second)
			}
			b.now = b.now.Add(20 * time.Millisecond)
		}
	}
	if held != 8 {
		t.Errorf("%d requests at once to the hole, want 8", held)
	}
}

func TestHolesThatFillUpInAQuietMomentLeaveRoomForOthers(t *testing.T) {
	b := setup(t, Config{MaxInFlight: 64})
	holes := []string{"hole-1", "hole-2", "hole-3", "hole-4"}
	b.subscribe(append(holes, "healthy")...)
	for _, id := range holes {
		b.subs[id].MaxConcurrency = 64
		b.admit(id, 200)
		b.act()
	}
	free := b.cfg.MaxInFlight - b.inFlight
	if free < 1 {
		t.Fatal("no slot is free")
	}
	b.admit("healthy", 100)
	for sent := 0; sent < 100; {
		posts := b.act()[Post]
		if len(posts) == 0 {
			t.Fatalf("%d of 100 healthy deliveries went out", sent)
		}
		for _, a := range posts {
			if a.Job.Delivery.GetSubscriptionId() == "healthy" {
				b.answer(a.Job)
				sent++
			}
		}
	}
}

func TestSubscriptionsAreServedInTurn(t *testing.T) {
	b := setup(t, Config{MaxInFlight: 4})
	b.subscribe("a", "b", "c", "d")
	for _, s := range []string{"a", "b", "c", "d"} {
		b.admit(s, 100)
	}
	counts := map[string]int{}
	for range 25 {
		for _, a := range b.act()[Post] {
			counts[a.Job.Delivery.GetSubscriptionId()]++
			b.answer(a.Job)
		}
	}
	for s, n := range counts {
		if n != 25 {
			t.Errorf("%s was served %d times of 100", s, n)
		}
	}
}

func TestReplaysGoAtLowWeight(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.subs["a"].MaxConcurrency = 1
	b.admit("a", 100, func(d *aftercallv1.Delivery) { d.Cause = aftercallv1.Cause_CAUSE_REPLAY })
	b.admit("a", 100)
	live := 0
	for range 80 {
		for _, a := range b.act()[Post] {
			if !isReplay(a.Job) {
				live++
			}
			b.answer(a.Job)
		}
	}
	if live != 70 {
		t.Errorf("%d of 80 were live calls, want 70", live)
	}
}

func TestACopyOfARecordUnderWayIsDoneWithIt(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	same := func(d *aftercallv1.Delivery) { d.DeliveryId = "same" }
	b.admit("a", 3, same)
	posts := b.act()[Post]
	if len(posts) != 1 {
		t.Fatalf("%d posts", len(posts))
	}
	if b.commit() != 0 {
		t.Error("a copy was finished before the first one")
	}
	b.answer(posts[0].Job)
	b.admit("a", 1, same)
	if n := len(b.act()[Post]); n != 0 {
		t.Errorf("%d more posts", n)
	}
	b.admit("a", 1, same, func(d *aftercallv1.Delivery) { d.Attempt = 2 })
	if n := len(b.act()[Post]); n != 1 {
		t.Errorf("%d posts of the next attempt", n)
	}
	if s := b.Stats(); s.Duplicates != 3 || s.Bytes != 1000 || b.commit() != 4 {
		t.Errorf("%+v, commit %d", s, b.commit())
	}
}

func TestWhatASubscriptionSaysNowDecides(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bench)
		kind   Kind
		reason string
	}{
		"inactive":  {func(b *bench) { b.subs["a"].Active = false }, End, outcome.ReasonInactive},
		"deleted":   {func(b *bench) { delete(b.subs, "a") }, End, outcome.ReasonDeleted},
		"discarded": {func(b *bench) { b.subs["a"].DiscardBefore = b.now.Add(time.Second) }, End, outcome.ReasonDiscarded},
		"stopped":   {func(b *bench) { b.stops = map[string]bool{"a-0": true} }, End, outcome.ReasonStopped},
		"expired":   {func(b *bench) { b.now = b.now.Add(73 * time.Hour) }, End, outcome.ReasonExpired},
		"paused":    {func(b *bench) { b.subs["a"].PausedUntil = b.now.Add(time.Hour) }, Divert, ReasonPaused},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, Config{})
			b.subscribe("a")
			b.admit("a", 1)
			c.change(b)
			acts := b.act()
			if len(acts[c.kind]) != 1 || acts[c.kind][0].Reason != c.reason || len(acts[Post]) != 0 {
				t.Fatalf("%+v", acts)
			}
			b.Settled(acts[c.kind][0].Job)
			if b.commit() != 1 {
				t.Error("not done")
			}
		})
	}
}

func TestASenderBehindTheSubscriptionsWaitsASecondThenPutsOff(t *testing.T) {
	b := setup(t, Config{})
	ahead := func(d *aftercallv1.Delivery) { d.SubscriptionsOffset = 5 }
	b.admit("new", 1, ahead)
	if acts := b.act(); len(acts) != 0 {
		t.Fatalf("%v", acts)
	}
	if b.Wake() != b.now.Add(time.Second) {
		t.Errorf("wakes at %v", b.Wake())
	}
	b.subscribe("new")
	b.offset = 5
	if acts := b.act(); len(acts[Post]) != 1 {
		t.Fatalf("it does not go out once the subscription is known: %v", acts)
	}
	b.offset = 4
	b.admit("new", 1, ahead)
	b.act()
	b.now = b.now.Add(time.Second)
	acts := b.act()
	if len(acts[Divert]) != 1 || acts[Divert][0].Reason != ReasonSubscriptionUnknown || acts[Divert][0].Tier.Dwell != 5*time.Second {
		t.Errorf("%+v", acts)
	}
}

func TestTheDisabledVersionGetsNothingMore(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 1)
	b.fail(b.act()[Post][0].Job, outcome.Answer{Status: 410, Class: aftercallv1.Attempt_ERROR_CLASS_STATUS})
	if ch := b.Changes(); len(ch) != 1 || ch[0].Kind != DisableRequested || ch[0].Subscription.Version != 1 {
		t.Errorf("%+v", ch)
	}
	b.admit("a", 1)
	if acts := b.act(); len(acts[End]) != 1 || acts[End][0].Reason != outcome.ReasonGone {
		t.Errorf("%+v", acts)
	}
	b.subs["a"] = &subscription.Subscription{ID: "a", Version: 2, Active: true}
	b.admit("a", 1)
	if acts := b.act(); len(acts[Post]) != 1 {
		t.Errorf("the changed subscription gets nothing: %+v", acts)
	}
}

func TestRevokedWorkThatHasNotBegunIsGivenBack(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 20)
	posts := b.act()[Post]
	b.Revoke(0)
	if b.Busy(0) != len(posts) || b.Stats().Bytes != len(posts)*1000 {
		t.Errorf("busy %d, %+v", b.Busy(0), b.Stats())
	}
	b.answer(posts[1].Job)
	if got := b.commit(); got != 0 {
		t.Errorf("commit %d", got)
	}
	if m := b.assignments[0].committed.Metadata; m == "" {
		t.Error("the finished one is not in the map")
	}
	for i, a := range posts {
		if i != 1 {
			b.answer(a.Job)
		}
	}
	if b.commit() != 8 || b.Busy(0) != 0 || len(b.act()) != 0 {
		t.Errorf("commit %d, busy %d", b.commit(), b.Busy(0))
	}
}

func TestALateOutcomeOfALostPartitionMarksNothing(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 1)
	old := b.act()[Post][0].Job
	b.Forget(0)
	b.Assign(0, 0, nil, "")
	b.next[0] = 0
	b.admit("a", 1)
	posts := b.act()[Post]
	if len(posts) != 1 {
		t.Fatal("the record is not sent again")
	}
	b.Abandoned(old)
	if !old.Lost() || b.Commits() != nil {
		t.Error("the late outcome was committed")
	}
	b.answer(posts[0].Job)
	if s := b.Stats(); b.commit() != 1 || s.InFlight != 0 || s.Bytes != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConcurrencyIsSharedByTheShardsASenderOwns(t *testing.T) {
	for owned, want := range map[int]int{8: 20, 4: 12, 1: 3, 0: 1} {
		b := setup(t, Config{PartitionOf: func(key string) int32 {
			shard := int(key[len(key)-1] - '0')
			if shard < owned {
				return 0
			}
			return 1
		}})
		b.subscribe("a")
		b.subs["a"].MaxConcurrency = 20
		b.admit("a", 100)
		if got := len(b.act()[Post]); got != want {
			t.Errorf("owning %d of 8 shards: %d at once, want %d", owned, got, want)
		}
	}
}

func TestNothingStartsWhilePaused(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.admit("a", 3)
	b.Pause(true)
	if acts := b.act(); len(acts) != 0 {
		t.Errorf("%+v", acts)
	}
	b.Pause(false)
	if acts := b.act(); len(acts[Post]) != 3 {
		t.Errorf("%+v", acts)
	}
}

func TestAFullMapPausesItsPartitionUntilItHasRoom(t *testing.T) {
	b := setup(t, Config{MaxRuns: 40})
	// Alone, so that nothing is put off; recent deliveries, so that it is well.
	b.subscribe("a")
	b.subs["a"].MaxConcurrency = 100
	b.admit("a", 100)
	posts := b.act()[Post]
	for i, a := range posts {
		if i%2 == 1 {
			b.answer(a.Job)
		}
	}
	pause, _ := b.Intake()
	if len(pause) != 1 {
		t.Fatalf("not paused with %d runs", b.assignments[0].tracker.Runs())
	}
	if pause, resume := b.Intake(); len(pause)+len(resume) != 0 {
		t.Error("said twice")
	}
	for i, a := range posts {
		if i%2 == 0 {
			b.answer(a.Job)
		}
	}
	if _, resume := b.Intake(); len(resume) != 1 {
		t.Error("not resumed")
	}
}
