package core

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// item of what waits in a delay topic.
type item struct {
	at time.Time
	d  *aftercallv1.Delivery
}
type pq []item //nolint:recvcheck // container/heap wants both

func (p pq) Len() int           { return len(p) }
func (p pq) Less(i, j int) bool { return p[i].at.Before(p[j].at) }
func (p pq) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pq) Push(x any)        { *p = append(*p, x.(item)) }
func (p *pq) Pop() any          { o := *p; x := o[len(o)-1]; *p = o[:len(o)-1]; return x }

// due is when something happens next: the core wakes, or what was put off comes
// back.
func (p pq) due(b *bench) time.Time {
	next := b.now.Add(time.Hour)
	if w := b.Wake(); !w.IsZero() {
		next = w
	}
	if len(p) > 0 && p[0].at.Before(next) {
		next = p[0].at
	}
	return next
}

// A backlog behind a rate limit: how long does it take, how much expires?
func TestABacklogBehindARateLimitDrainsAtThatRate(t *testing.T) {
	for _, c := range []struct {
		rate float64
		n    int
	}{{1, 2000}, {1, 10000}, {10, 20000}, {100, 40000}} {
		t.Run(fmt.Sprintf("rate %v backlog %d", c.rate, c.n), func(t *testing.T) {
			b := setup(t, Config{})
			b.subscribe("a")
			b.subs["a"].RateLimit = c.rate
			q := &pq{}
			for i := range c.n {
				heap.Push(q, item{b.now, &aftercallv1.Delivery{DeliveryId: fmt.Sprint(i), SubscriptionId: "a", Attempt: 1,
					FirstQueuedAt: timestamppb.New(b.now), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED}})
			}
			sent, expired, diverted := 0, 0, 0
			var last time.Time
			off := int64(0)
			for sent+expired < c.n {
				for q.Len() > 0 && !(*q)[0].at.After(b.now) && !b.Full() {
					it := heap.Pop(q).(item)
					b.Admit(&Job{Delivery: it.d, Offset: off, Size: 1500}, b.now)
					off++
				}
				for _, a := range b.Next(b.now) {
					switch a.Kind {
					case Post:
						sent++
						last = b.now
						b.answer(a.Job)
					case Divert:
						diverted++
						d := proto.CloneOf(a.Job.Delivery)
						d.Deferrals++
						heap.Push(q, item{b.now.Add(a.Tier.Dwell), d})
						b.Settled(a.Job)
					case End:
						expired++
						b.Settled(a.Job)
					}
				}
				b.commit()
				next := q.due(b)
				if !next.After(b.now) {
					next = b.now.Add(10 * time.Millisecond)
				}
				b.now = next
			}
			if ideal := time.Duration(float64(c.n) / c.rate * float64(time.Second)); expired > 0 || last.Sub(start) > ideal*3/2+time.Minute {
				t.Errorf("%d expired, the last went out after %v, ideal is %v", expired, last.Sub(start), ideal)
			}
			t.Logf("ideal %.0fs; sent %d (last after %v), given up as expired %d, deferrals written %d",
				float64(c.n)/c.rate, sent, last.Sub(start).Round(time.Second), expired, diverted)
		})
	}
}

func TestLiveCallsDoNotWaitForOthersSlowReplays(t *testing.T) {
	b := setup(t, Config{})
	ids := []string{}
	for i := range 8 {
		ids = append(ids, fmt.Sprintf("slow%d", i))
	}
	b.subscribe(ids...)
	b.subscribe("x")
	replay := func(d *aftercallv1.Delivery) { d.Cause = aftercallv1.Cause_CAUSE_REPLAY }
	for _, id := range ids {
		b.admit(id, 8, replay)
	}
	b.act() // 64 replays in flight to slow endpoints
	b.admit("x", 1, replay)
	b.admit("x", 100)
	posted := 0
	for range 100 {
		for _, a := range b.act()[Post] {
			posted++
			b.now = b.now.Add(time.Millisecond)
			b.answer(a.Job)
		}
	}
	if posted < 100 {
		t.Fatalf("only %d of 100 live calls went out while others' replays are slow", posted)
	}
}

func TestTheSmallestSenderServesEverybody(t *testing.T) {
	b := setup(t, Config{MaxInFlight: 4})
	b.subscribe("a", "b")
	b.admit("a", 1)
	b.admit("b", 1)
	n := len(b.act()[Post])
	b.now = b.now.Add(time.Minute)
	n += len(b.act()[Post])
	if n == 0 {
		t.Fatal("nothing is ever sent with MAX_IN_FLIGHT 4 and two endpoints")
	}
}

func TestARaisedRateCountsAtOnce(t *testing.T) {
	b := setup(t, Config{})
	b.subscribe("a")
	b.subs["a"].RateLimit = 0.0003 // about one an hour
	b.admit("a", 2)
	for _, a := range b.act()[Post] {
		b.answer(a.Job)
	}
	b.act()
	b.subs["a"] = &subscription.Subscription{ID: "a", Version: 2, Active: true, MaxConcurrency: 8} // no limit any more
	b.offset++
	b.now = b.now.Add(10 * time.Second)
	if len(b.act()[Post]) == 0 {
		t.Fatalf("still asleep until %v", b.Wake().Sub(b.now))
	}
}

// An endpoint that takes one a second and otherwise says 429, Retry-After: 1.
func TestAnEndpointThatPacesUsGetsItsBacklog(t *testing.T) {
	for _, n := range []int{500, 2000} {
		b := setup(t, Config{})
		b.subscribe("a")
		q := &pq{}
		for i := range n {
			heap.Push(q, item{b.now, &aftercallv1.Delivery{DeliveryId: fmt.Sprint(i), SubscriptionId: "a", Attempt: 1,
				FirstQueuedAt: timestamppb.New(b.now), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED}})
		}
		ok, gone, posts := 0, 0, 0
		var last, free time.Time
		off := int64(0)
		for ok+gone < n {
			for q.Len() > 0 && !(*q)[0].at.After(b.now) && !b.Full() {
				it := heap.Pop(q).(item)
				b.Admit(&Job{Delivery: it.d, Offset: off, Size: 1500}, b.now)
				off++
			}
			for _, a := range b.Next(b.now) {
				switch a.Kind {
				case Post:
					posts++
					if !b.now.Before(free) {
						free = b.now.Add(time.Second)
						ok++
						last = b.now
						b.answer(a.Job)
						continue
					}
					v := b.fail(a.Job, outcome.Answer{Status: 429, RetryAfter: "1", Class: aftercallv1.Attempt_ERROR_CLASS_STATUS})
					if v.State == outcome.StateWaiting {
						d := proto.CloneOf(a.Job.Delivery)
						d.Attempt++
						d.Deferrals = 0
						heap.Push(q, item{b.now.Add(v.Wait.Dwell), d})
					} else {
						gone++
					}
				case Divert:
					d := proto.CloneOf(a.Job.Delivery)
					d.Deferrals++
					heap.Push(q, item{b.now.Add(a.Tier.Dwell), d})
					b.Settled(a.Job)
				case End:
					gone++
					b.Settled(a.Job)
				}
			}
			b.commit()
			next := q.due(b)
			if next.Sub(b.now) < 50*time.Millisecond || len(b.ring) > 0 {
				next = b.now.Add(50 * time.Millisecond)
			}
			b.now = next
		}
		if gone > 0 {
			t.Errorf("%d given up", gone)
		}
		t.Logf("backlog %d at 1/s: delivered %d (last after %v), given up %d, posts %d", n, ok, last.Sub(start).Round(time.Minute), gone, posts)
	}
}

func TestAPausedPartitionThatComesBackIsResumed(t *testing.T) {
	b := setup(t, Config{Window: 10})
	b.subscribe("a")
	b.admit("a", 10)
	if pause, _ := b.Intake(); len(pause) != 1 {
		t.Fatal("not paused")
	}
	b.Forget(0)
	b.Assign(0, 0, nil, "")
	if _, resume := b.Intake(); len(resume) != 1 {
		t.Fatal("paused in the client, and never resumed")
	}
}
