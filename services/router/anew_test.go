package router_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// What a router has read and what it writes to may be deleted and made anew under
// it. It says so and ends, and the next one reads the new log from its start.
func TestATopicMadeAnewStopsTheRouterAndTheNextOneReadsItWhole(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		madeAnew(t, c, topic.CDRQueue)
		exactly(t, c, 150)
	})
}

func TestATopicThatIsMadeAnewUnderItsWritesStopsTheRouter(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		madeAnew(t, c, topic.Deliveries)
		kafkatest.WaitFor(t, "the events of all", func() bool { return len(events(t, c)) >= 150 })
		if e, d := len(events(t, c)), len(deliveries(t, c)); e != 150 || d != 50 {
			t.Errorf("%d events of 150 calls, and %d deliveries of the 50 that came after the topic was made anew", e, d)
		}
	})
}

// madeAnew routes 100 calls, makes a topic anew under the router, sends it 20 more,
// of which it ends, and the next router another 30.
func madeAnew(t *testing.T, c kafka.Config, name string) {
	t.Helper()
	subscribe(t, c, queueSubscription("sub_a"))
	r := start(t, c, "r1")
	all := calls(150)
	kafkatest.Produce(t, c, all[:100]...)
	exactly(t, c, 100)
	kafkatest.MakeAnew(t, c, name)
	kafkatest.Produce(t, c, all[100:120]...)
	r.explains(topic.CDRQueue, "made again")
	start(t, c, "r1")
	kafkatest.Produce(t, c, all[120:]...)
}

// explains waits for the router to end with an error that says all of this.
func (r *running) explains(parts ...string) {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				r.t.Errorf("Run = %v, which does not say %s", err, part)
			}
		}
		if r.health.Err() == nil {
			r.t.Error("the health says all is well")
		}
	case <-time.After(kafkatest.Patience):
		r.t.Fatal("the router goes on")
	}
}
