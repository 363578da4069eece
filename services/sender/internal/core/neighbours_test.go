package core

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// flight is a request under way and when its answer comes.
type flight struct {
	at     time.Time
	job    *Job
	answer outcome.Answer
}

// street is a core with endpoints that answer in their own time, and with delay
// topics, on a fake clock.
type street struct {
	*bench
	flying  []flight
	waiting pq
	offset  int64
	// late is by subscription how long after its CDR each delivery was taken.
	late map[string][]time.Duration
	most map[string]int
	ends int
}

// deliver takes a new delivery in, when there is room; otherwise the topic holds it.
func (s *street) deliver(sub string) {
	heap.Push(&s.waiting, item{s.now, &aftercallv1.Delivery{DeliveryId: fmt.Sprint(sub, s.offset, len(s.waiting)), SubscriptionId: sub, Attempt: 1,
		FirstQueuedAt: timestamppb.New(s.now), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED}})
}

// step moves the clock on, with what temper says to each request.
func (s *street) step(d time.Duration, temper func(sub string) (outcome.Answer, time.Duration)) {
	s.now = s.now.Add(d)
	left := s.flying[:0]
	for _, f := range s.flying {
		if f.at.After(s.now) {
			left = append(left, f)
			continue
		}
		d := f.job.Delivery
		if v := s.fail(f.job, f.answer); v.State == outcome.StateDelivered {
			s.late[d.GetSubscriptionId()] = append(s.late[d.GetSubscriptionId()], s.now.Sub(d.GetFirstQueuedAt().AsTime()))
		} else if v.State == outcome.StateWaiting {
			next := proto.CloneOf(d)
			next.Attempt, next.Deferrals = next.GetAttempt()+1, 0
			heap.Push(&s.waiting, item{s.now.Add(v.Wait.Dwell), next})
		}
	}
	s.flying = left
	for len(s.waiting) > 0 && !s.waiting[0].at.After(s.now) && !s.Full() {
		s.Admit(&Job{Delivery: heap.Pop(&s.waiting).(item).d, Offset: s.offset, Size: 1500}, s.now)
		s.offset++
	}
	for _, a := range s.Next(s.now) {
		switch a.Kind {
		case Post:
			answer, took := temper(a.Job.Delivery.GetSubscriptionId())
			s.flying = append(s.flying, flight{s.now.Add(took), a.Job, answer})
		case Divert:
			next := proto.CloneOf(a.Job.Delivery)
			next.Deferrals++
			heap.Push(&s.waiting, item{s.now.Add(a.Tier.Dwell), next})
			s.Settled(a.Job)
		default:
			s.ends++
			s.Settled(a.Job)
		}
	}
	under := map[string]int{}
	for _, f := range s.flying {
		under[f.job.Delivery.GetSubscriptionId()]++
	}
	for id, n := range under {
		s.most[id] = max(s.most[id], n)
	}
	s.commit()
}

func newStreet(t *testing.T, cfg Config) *street {
	t.Helper()
	return &street{bench: setup(t, cfg), late: map[string][]time.Duration{}, most: map[string]int{}}
}

// prompt fails when one of the healthy waited.
func (s *street) prompt(t *testing.T, sub string, want int) {
	t.Helper()
	if got := len(s.late[sub]); got < want {
		t.Errorf("%s got %d of %d", sub, got, want)
	}
	for _, d := range s.late[sub] {
		if d > time.Second {
			t.Errorf("one of %s took %v", sub, d)
			return
		}
	}
}

func TestAFifthOfAllEndpointsAreHolesAndTheRestDoesNotNotice(t *testing.T) {
	const endpoints, holes = 20, 4
	s := newStreet(t, Config{})
	for i := range endpoints {
		s.subscribe(fmt.Sprint("e", i))
	}
	hole := map[string]bool{}
	for i := range holes {
		hole[fmt.Sprint("e", i)] = true
	}
	temper := func(sub string) (outcome.Answer, time.Duration) {
		if hole[sub] {
			return outcome.Answer{Class: aftercallv1.Attempt_ERROR_CLASS_TIMEOUT}, 10 * time.Second
		}
		return outcome.Answer{Status: 200}, 50 * time.Millisecond
	}
	const seconds, ticks, each = 120, 20, 5
	for range seconds {
		for tick := range ticks {
			if tick%(ticks/each) == 0 {
				for i := range endpoints {
					s.deliver(fmt.Sprint("e", i))
				}
			}
			s.step(time.Second/ticks, temper)
		}
	}
	for i := range endpoints {
		id := fmt.Sprint("e", i)
		if s.most[id] > 8 {
			t.Errorf("%d requests at once to %s", s.most[id], id)
		}
		if !hole[id] {
			s.prompt(t, id, seconds*each-each)
		}
	}
	if s.ends > 0 {
		t.Errorf("%d ended", s.ends)
	}
}

func TestOneWithFourFifthsOfTheTrafficAtThirtySecondsHoldsNobodyUp(t *testing.T) {
	s := newStreet(t, Config{MaxInFlight: 64, Budget: 4 << 20})
	s.subscribe("big", "a", "b", "c", "d")
	s.subs["big"].MaxConcurrency = 64
	temper := func(sub string) (outcome.Answer, time.Duration) {
		if sub == "big" {
			return outcome.Answer{Status: 200}, 30 * time.Second
		}
		return outcome.Answer{Status: 200}, 50 * time.Millisecond
	}
	const seconds, ticks = 300, 20
	for range seconds {
		for tick := range ticks {
			for range 4 {
				s.deliver("big")
			}
			if tick%5 == 0 {
				s.deliver(string(rune('a' + tick/5)))
			}
			s.step(time.Second/ticks, temper)
		}
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		s.prompt(t, id, seconds-2)
	}
	if got := len(s.late["big"]); got < seconds {
		t.Errorf("the slow one got %d in %d s", got, seconds)
	}
	if s.ends > 0 {
		t.Errorf("%d ended", s.ends)
	}
	t.Logf("big: %d taken, %d at once, %d wait", len(s.late["big"]), s.most["big"], len(s.waiting))
}
