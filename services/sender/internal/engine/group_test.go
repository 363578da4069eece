package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestSilenceIsMeasuredByTheTimeThatPassesNotByTheClock(t *testing.T) {
	var m moment
	if _, ok := m.since(time.Now()); ok {
		t.Error("there is a moment before one was set")
	}
	m.set(time.Now())
	// A time with a monotonic reading, which steps of the clock do not move.
	if at := *m.at.Load(); !strings.Contains(at.String(), " m=") {
		t.Error("what is kept is the wall clock's time alone")
	}
	if passed, ok := m.since(time.Now()); !ok || passed < 0 {
		t.Errorf("%s passed, %v", passed, ok)
	}
}

func TestAJoinKeepsDoubtAwayNoLongerThanTheGroupWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g groupHealth
		g.start(8 * time.Second)
		time.Sleep(7 * time.Second)
		if g.doubt(time.Now()) == nil {
			t.Error("there is no doubt after a session without a heartbeat")
		}
		g.OnBrokerWrite(kgo.BrokerMetadata{}, keyJoin, 0, 0, 0, nil)
		time.Sleep(joinLimit)
		if err := g.doubt(time.Now()); err != nil {
			t.Errorf("while the group waits for others: %v", err)
		}
		time.Sleep(time.Second)
		if g.doubt(time.Now()) == nil {
			t.Error("a join without an answer keeps doubt away for ever")
		}
		g.OnBrokerE2E(kgo.BrokerMetadata{}, keyJoin, kgo.BrokerE2E{})
		if err := g.doubt(time.Now()); err != nil {
			t.Errorf("after the answer: %v", err)
		}
	})
}
