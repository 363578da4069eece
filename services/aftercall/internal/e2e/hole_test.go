package e2e

import (
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

func TestABlackHoleDoesNotSlowAnotherEndpoint(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		u := newUpstream(t, s.kafka)
		h := newHole(t)
		r := newReceiver(t, listen.Options{Delay: 2 * time.Millisecond})
		s.subscribe(subscription.Subscription{ID: "sub_good", Endpoint: r.URL + "/ok", Events: []string{topic.TypeQueue, topic.TypeAgent}})
		s.subscribe(subscription.Subscription{ID: "sub_hole", Endpoint: "http://" + h.address, Events: []string{topic.TypeQueue}, Timeout: subscription.MaxTimeout, MaxConcurrency: 64})
		s.begin("router").ready()
		s.begin("sender", append([]string{"AFTERCALL_MAX_IN_FLIGHT=512"}, open...)...).ready()

		const n = 2000
		run := func(name string, want int) time.Duration {
			began := time.Now()
			<-u.send(name, n, 1000)
			wait(t, "the good endpoint's deliveries", func() bool { return r.delivered() == want })
			return time.Since(began)
		}
		alone := run(topic.CDRAgent, n)
		beside := run(topic.CDRQueue, 2*n)
		held := h.connections()
		t.Logf("%d deliveries in %s alone, in %s beside a hole that held %d requests", n, alone.Round(time.Millisecond), beside.Round(time.Millisecond), held)
		// Whoever had waited for a place in the hole would have waited until one was let off.
		if held == 0 || h.letOff.Load() > 0 {
			t.Errorf("the hole did not hold all the time: %d came, %d were let off", held, h.letOff.Load())
		}
		if r.requests() != 2*n {
			t.Errorf("%d requests of %d", r.requests(), 2*n)
		}
		if limit := alone*3/2 + 2*time.Second; timed && beside > limit {
			t.Errorf("the good endpoint's deliveries took %s beside the hole, %s alone", beside, alone)
		}
	})
}
