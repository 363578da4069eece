//go:build synctests

package stream

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestWhatHappensIsToldToEveryoneWhoseFilterMatches(t *testing.T) {
	onStage(t, Options{}, func(t *testing.T, s *stage) {
		s.attempts(3) // before anybody listens
		all, failed := s.listen(Request{}, nil), s.listen(Request{Filter: Filter{Status: "5xx", AttemptsOnly: true}}, nil)
		none := s.listen(Request{Filter: Filter{Subscription: "sub_2"}}, nil)
		after(time.Second)
		s.attempts(2)
		s.produce(record.New(topic.History, "d-1", &aftercallv1.Deferral{DeliveryId: "d-1", SubscriptionId: "sub_1", Reason: "breaker", At: timestamppb.Now()}, time.Now()),
			record.New(topic.History, "sub_1", &aftercallv1.EndpointChange{ChangeId: "x", SubscriptionId: "sub_1", Kind: aftercallv1.EndpointChange_KIND_BREAKER_OPENED, At: timestamppb.Now()}, time.Now()),
			record.New(topic.History, "k", &aftercallv1.Event{EventId: "evt_1"}, time.Now()))
		after(time.Second)
		kinds := map[string]int{}
		events, _ := all.events()
		for _, e := range events {
			kinds[e.Event]++
		}
		if !maps.Equal(kinds, map[string]int{"attempt": 2, "deferral": 1, "endpoint": 1}) {
			t.Errorf("everything is %v", events)
		}
		if events, _ := failed.events(); len(events) != 2 || events[0].Event != "attempt" {
			t.Errorf("what failed is %v", events)
		}
		if events, _ := none.events(); len(events) != 0 {
			t.Errorf("of another subscription it tells %v", events)
		}
		if got := all.header.Get("Content-Type") + all.header.Get("X-Accel-Buffering"); got != "text/event-streamno" {
			t.Errorf("the headers are %v", all.header)
		}
	})
}

// Whoever comes back with any of the ids gets exactly what came after it, from
// memory or from Kafka.
func TestWhoComesBackWithAnyIDGetsTheRestOnceAndWithoutAGap(t *testing.T) {
	for name, ring := range map[string]int{"from memory": 100, "from Kafka": 4} {
		t.Run(name, func(t *testing.T) {
			onStage(t, Options{Ring: ring}, func(t *testing.T, s *stage) {
				watcher := s.listen(Request{}, nil)
				begin := func() string { _, id := watcher.events(); return id }
				after(time.Second)
				ids := []string{begin()}
				for range 6 {
					s.attempts(4)
					after(time.Second)
				}
				events, _ := watcher.events()
				if len(events) != 24 {
					t.Fatalf("the one who stayed was told %d of 24", len(events))
				}
				for _, e := range events {
					ids = append(ids, e.ID)
				}
				for n, id := range ids {
					back := s.listen(Request{Since: id}, nil)
					after(time.Second)
					got := map[string]int{}
					again, _ := back.events()
					for _, e := range again {
						if e.Event != "attempt" {
							t.Errorf("after %d: an event %+v", n, e)
						}
						got[e.attempt()]++
					}
					want := map[string]int{}
					for _, e := range events[n:] {
						want[e.attempt()] = 1
					}
					if !maps.Equal(got, want) {
						t.Errorf("after %d events (%s) came %v, not %v", n, id, got, want)
					}
					back.leave()
				}
				// And goes on with what is new.
				back := s.listen(Request{Since: ids[5]}, nil)
				s.attempts(3)
				after(time.Second)
				if again, _ := back.events(); len(again) != 24-5+3 {
					t.Errorf("%d came, not %d", len(again), 24-5+3)
				}
			})
		})
	}
}

func TestTooManyAtATimeAreCountedAndTheNewestShown(t *testing.T) {
	onStage(t, Options{}, func(t *testing.T, s *stage) {
		v := s.listen(Request{Rows: 20}, nil)
		after(time.Second)
		for range 20 { // 500 a second for 2 s
			s.attempts(50)
			after(100 * time.Millisecond)
		}
		after(time.Second)
		rows, dropped := 0, int64(0)
		events, _ := v.events()
		for _, e := range events {
			if e.Event == "attempt" {
				rows++
				continue
			}
			reason, n := e.dropped(t)
			if reason != GapCoalesced {
				t.Errorf("a gap says %q", reason)
			}
			dropped += n
		}
		if int64(rows)+dropped != 1000 || rows > v.writes*20 || v.writes > 25 {
			t.Errorf("%d rows and %d left out in %d writes", rows, dropped, v.writes)
		}
		if last := events[len(events)-1].attempt(); last < "a-00900" {
			t.Errorf("the last one told is %s", last)
		}
	})
}

func TestWhoDoesNotReadIsLetGoAndCostsNothingMeanwhile(t *testing.T) {
	onStage(t, Options{Ring: 64, Behind: 500}, func(t *testing.T, s *stage) {
		slow, quick := s.listen(Request{Rows: 1000}, nil), s.listen(Request{Rows: 1000}, nil)
		after(time.Second)
		slow.holding(true)
		for range 20 {
			s.attempts(50)
			after(200 * time.Millisecond)
		}
		// It takes again before its time is over: what memory has no more is too much to
		// catch up with.
		slow.holding(false)
		after(2 * time.Second)
		var rows, dropped int64
		events, _ := slow.events()
		for _, e := range events {
			if e.Event == "attempt" {
				rows++
			} else {
				_, n := e.dropped(t)
				dropped += n
			}
		}
		if rows+dropped != 1000 || dropped == 0 {
			t.Errorf("the slow one was told %d and left out %d", rows, dropped)
		}
		if events, _ := quick.events(); len(events) != 1000 {
			t.Errorf("the quick one was told %d of 1000", len(events))
		}
		slow.holding(true)
		s.attempts(1)
		after(writePatience + time.Second)
		if err, is := <-slow.ended; !is || err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestAPlaceThatCannotBeGoneOnFromIsSaid(t *testing.T) {
	onStage(t, Options{Ring: 8, Behind: 30}, func(t *testing.T, s *stage) {
		watcher := s.listen(Request{}, nil)
		after(time.Second)
		s.attempts(50)
		after(time.Second)
		_, now := watcher.events()
		end, err := ParseVector(now)
		if err != nil {
			t.Fatal(err)
		}
		// All but the last record of each partition is gone.
		cut, kept := kadm.Offsets{}, Vector{}
		for p, at := range end {
			cut.AddOffset(topic.History, p, at-1, -1)
			kept[p] = at - 1
		}
		for since, want := range map[string]string{"0:0,1:0": GapBehind, "0:1000000,1:1000000": GapUnknown, "0:1,1:1,7:1": GapUnknown, "forged": GapUnknown} {
			back := s.listen(Request{Since: since}, nil)
			after(time.Second)
			events, _ := back.events()
			if len(events) == 0 || events[0].Event != "gap" {
				t.Errorf("from %s it tells %v", since, events)
				continue
			}
			if reason, _ := events[0].dropped(t); reason != want {
				t.Errorf("from %s the gap says %s, not %s", since, reason, want)
			}
			back.leave()
		}
		if _, err := kafkatest.Admin(t, s.kafka).DeleteRecords(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
		back := s.listen(Request{Since: "0:0,1:0"}, nil)
		after(time.Second)
		events, _ := back.events()
		if len(events) != 3 {
			t.Fatalf("of what is kept it tells %v", events)
		}
		if reason, n := events[0].dropped(t); reason != GapRetention || n != 50-2 {
			t.Errorf("the gap says %s, %d", reason, n)
		}
	})
}

func TestAStreamEndsWithItsTokenAtOnce(t *testing.T) {
	onStage(t, Options{}, func(t *testing.T, s *stage) {
		var revoked atomic.Bool
		allowed := func(context.Context) error {
			if revoked.Load() {
				return ErrEnded
			}
			return nil
		}
		here, elsewhere := s.listen(Request{}, allowed), s.listen(Request{}, func(context.Context) error { return nil })
		after(2500 * time.Millisecond)
		revoked.Store(true)
		s.hub.Recheck()
		after(0)
		select {
		case <-here.ended:
		default:
			t.Error("revoked in this process, it goes on")
		}
		s.attempts(1)
		after(time.Second)
		if events, _ := here.events(); len(events) != 0 {
			t.Errorf("after the end it tells %v", events)
		}
		if events, _ := elsewhere.events(); len(events) != 1 {
			t.Errorf("the other one tells %v", events)
		}
		// Revoked by another process: within a second.
		revoked.Store(false)
		other := s.listen(Request{}, allowed)
		after(2500 * time.Millisecond)
		revoked.Store(true)
		after(checkEvery)
		select {
		case <-other.ended:
		default:
			t.Error("revoked elsewhere, it goes on")
		}
		// Not to know is borne for a while.
		unknown := s.listen(Request{}, func(context.Context) error { return errors.New("the database is away") })
		after(checkPatience - time.Second)
		select {
		case <-unknown.ended:
			t.Error("a database that is away for a moment ends streams")
		default:
		}
		after(3 * time.Second)
		select {
		case <-unknown.ended:
		default:
			t.Error("nobody knows whether it may go on, and it does")
		}
	})
}

func TestAQuietStreamBeatsAndItsIDMovesOn(t *testing.T) {
	onStage(t, Options{}, func(t *testing.T, s *stage) {
		v := s.listen(Request{Filter: Filter{Call: "another"}}, nil)
		after(time.Second)
		_, before := v.events()
		s.attempts(5)
		after(3 * Beat)
		events, now := v.events()
		if len(events) != 0 || now == before || v.writes != 1+3 {
			t.Errorf("told %v in %d writes, the id went from %s to %s", events, v.writes, before, now)
		}
	})
}

func TestTheHubReadsOnlyWhileSomebodyListensAndEndsWithTheProcess(t *testing.T) {
	onStage(t, Options{Listeners: 2}, func(t *testing.T, s *stage) {
		reading := func() bool { s.hub.mu.Lock(); defer s.hub.mu.Unlock(); return s.hub.ready }
		after(time.Minute)
		if reading() {
			t.Error("it reads though nobody listens")
		}
		one, _ := s.listen(Request{}, nil), s.listen(Request{}, nil)
		if _, err := s.hub.Listen(t.Context(), Request{}, time.Second); !errors.Is(err, ErrTooMany) {
			t.Errorf("the third of two got %v", err)
		}
		// A place is free again when somebody leaves.
		one.leave()
		after(time.Second)
		s.listen(Request{}, nil)
		if !reading() {
			t.Error("somebody listens, and nobody reads")
		}
	})
	onStage(t, Options{}, func(t *testing.T, s *stage) {
		v := s.listen(Request{}, nil)
		after(time.Second)
		v.leave()
		after(time.Minute)
		s.hub.mu.Lock()
		ready := s.hub.ready
		s.hub.mu.Unlock()
		if ready {
			t.Error("it reads on a minute after the last one left")
		}
		// What came meanwhile is told to whoever comes back.
		_, id := v.events()
		s.attempts(5)
		back := s.listen(Request{Since: id}, nil)
		after(time.Second)
		if events, _ := back.events(); len(events) != 5 {
			t.Errorf("told %v", events)
		}
		s.hub.close()
		after(0)
		select {
		case <-back.ended:
		default:
			t.Error("the process ends, and a stream goes on")
		}
		if _, err := s.hub.Listen(t.Context(), Request{}, time.Second); !errors.Is(err, ErrClosed) {
			t.Errorf("listening to a hub that has ended answers %v", err)
		}
	})
}

func TestAStreamThatWaitsToCatchUpEndsWithTheProcess(t *testing.T) {
	onStage(t, Options{Ring: 4}, func(t *testing.T, s *stage) {
		s.listen(Request{}, nil)
		s.attempts(40)
		after(time.Second)
		for range cap(s.hub.catches) {
			s.hub.catches <- struct{}{} // others catch up
		}
		waits := s.listen(Request{Since: "0:0,1:0"}, nil)
		after(time.Second)
		s.hub.close()
		after(0)
		select {
		case <-waits.ended:
		default:
			t.Error("the process ends, and a stream waits on")
		}
	})
}

func TestAPlaceIsReadAsItWasWritten(t *testing.T) {
	for _, text := range []string{"0:0", "0:12,1:7", "3:1,11:99999999999"} {
		if v, err := ParseVector(text); err != nil || v.String() != text {
			t.Errorf("%s became %s, %v", text, v, err)
		}
	}
	for _, text := range []string{"", "x", "0", "0:", ":1", "0:-1", "-1:0", "0:1,0:2", "0:1,", "0:1 ,1:1", "9999999:1", "0:99999999999999999999"} {
		if v, err := ParseVector(text); err == nil {
			t.Errorf("%q became %s", text, v)
		}
	}
}
