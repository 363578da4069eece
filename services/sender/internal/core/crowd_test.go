package core

import (
	"fmt"
	"testing"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// asked counts how often a core asks about a subscription: once for each endpoint
// that it looks at.
type asked struct {
	*bench
	n int
}

func (a *asked) Get(id string) (*subscription.Subscription, bool) {
	a.n++
	return a.bench.Get(id)
}

func TestAnAnswerCostsNoMoreHoweverManyWaitForASlot(t *testing.T) {
	const subscriptions, slots, answers = 2000, 16, 300
	b := setup(t, Config{MaxInFlight: slots})
	a := &asked{bench: b}
	b.Core.subs = a
	for i := range subscriptions {
		id := fmt.Sprintf("sub-%d", i)
		b.subscribe(id)
		b.admit(id, 2)
	}
	flying := b.act()[Post]
	if len(flying) != slots {
		t.Fatalf("%d are under way", len(flying))
	}
	a.n = 0
	for range answers {
		b.answer(flying[0].Job)
		more := b.act()[Post]
		if len(more) != 1 {
			t.Fatalf("an answer made room for %d", len(more))
		}
		flying = append(flying[1:], more...)
	}
	if a.n > 5*answers {
		t.Errorf("%d answers looked at %d endpoints of %d that wait", answers, a.n, subscriptions)
	}
}

func TestWhatNeedsNoSlotIsDoneThoughEverySlotIsTaken(t *testing.T) {
	b := setup(t, Config{MaxInFlight: 4})
	for _, id := range []string{"a", "b", "c", "d", "off"} {
		b.subscribe(id)
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		b.admit(id, 10)
	}
	if n := len(b.act()[Post]); n != 4 {
		t.Fatalf("%d are under way", n)
	}
	b.admit("off", 3)
	b.act()
	b.subs["off"].Active = false
	// Nobody answers: the core says itself when it has to be asked again.
	var ended int
	for range 3 {
		wake := b.Wake()
		if wake.IsZero() || wake.Sub(b.now) > lookEvery {
			t.Fatalf("it wants to be asked again at %v", wake)
		}
		b.now = wake
		ended += len(b.act()[End])
	}
	if ended != 3 {
		t.Errorf("%d of 3 deliveries of a webhook that was switched off have ended", ended)
	}
}
