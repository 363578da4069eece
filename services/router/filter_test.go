package router_test

import (
	"fmt"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// outcomes are the decisions of an event by subscription.
func outcomes(e *aftercallv1.Event) map[string]aftercallv1.Decision_Outcome {
	out := map[string]aftercallv1.Decision_Outcome{}
	for _, d := range e.GetDecisions() {
		out[d.GetSubscriptionId()] = d.GetOutcome()
	}
	return out
}

func TestAFilterCountsFromItsSubscriptionsChangeOn(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		filtered := queueSubscription("a")
		filtered.Filter = `cdr.QueueName == "Sales" && cdr.TalkTime > 60`
		subscribe(t, c, filtered)
		broken := queueSubscription("b")
		broken.Filter = `this is saved by a version that knows more`
		subscribe(t, c, broken)
		r := start(t, c, "r")

		kafkatest.Produce(t, c,
			kafkatest.CDR(topic.CDRQueue, "1", `{"CallId":"1","QueueName":"Sales","TalkTime":61}`),
			kafkatest.CDR(topic.CDRQueue, "2", `{"CallId":"2","QueueName":"Sales","TalkTime":"60"}`),
			kafkatest.CDR(topic.CDRQueue, "3", `{"CallId":"3","QueueName":"Sales"}`),
		)
		kafkatest.WaitFor(t, "three events", func() bool { return len(events(t, c)) == 3 })
		want := map[string]aftercallv1.Decision_Outcome{
			"1": aftercallv1.Decision_OUTCOME_MATCHED, "2": aftercallv1.Decision_OUTCOME_FILTER_FALSE, "3": aftercallv1.Decision_OUTCOME_FILTER_ERROR,
		}
		for _, e := range events(t, c) {
			got := outcomes(e)
			if got["a"] != want[e.GetCallId()] || got["b"] != aftercallv1.Decision_OUTCOME_FILTER_ERROR {
				t.Errorf("call %s: %v", e.GetCallId(), got)
			}
			for _, d := range e.GetDecisions() {
				if d.GetOutcome() == aftercallv1.Decision_OUTCOME_FILTER_ERROR && d.GetDetail() == "" {
					t.Errorf("call %s: no detail about %s", e.GetCallId(), d.GetSubscriptionId())
				}
			}
		}
		if d := deliveries(t, c); len(d) != 1 || d[0].GetCallId() != "1" {
			t.Errorf("deliveries: %v", d)
		}

		changed := queueSubscription("a")
		changed.Version, changed.Filter = 2, `cdr.QueueName == "Support"`
		subscribe(t, c, changed)
		// A repeat is told by its id: each probe is another call.
		n := 0
		kafkatest.WaitFor(t, "the changed filter to count", func() bool {
			n++
			kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, "x", fmt.Sprintf(`{"CallId":"support","QueueName":"Support","N":%d}`, n)))
			for _, d := range deliveries(t, c) {
				if d.GetCallId() == "support" {
					return true
				}
			}
			return false
		})
		r.stop()
	})
}
