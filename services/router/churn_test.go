package router_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Webhooks that are edited all the time are no reason to lose or repeat a call of
// those that are not, and the last word counts in the end.
func TestWebhooksThatChangeWhileCallsAreRoutedDisturbNobody(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "r1")
		kafkatest.Produce(t, c, call(0))
		exactly(t, c, 1)
		const n, edits = 1000, 500
		producing := make(chan struct{})
		go func() {
			defer close(producing)
			for batch := range slices.Chunk(calls(n)[1:], 20) {
				kafkatest.Produce(t, c, batch...)
			}
		}()
		version := int64(0)
		for range edits / 10 {
			var changes []*kgo.Record
			for i := range 10 {
				version++
				s := queueSubscription(fmt.Sprintf("sub_churn_%d", i))
				s.Version, s.Active = version, false
				s.Endpoint = fmt.Sprintf("https://example.com/%d", version)
				changes = append(changes, record.New(topic.Subscriptions, s.Id, s, time.Now()))
			}
			kafkatest.Produce(t, c, changes...)
		}
		<-producing
		exactly(t, c, n)
		last := queueSubscription("sub_churn_0")
		last.Version = version + 1
		last.Events = []string{topic.TypeIvr}
		subscribe(t, c, last)
		kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRIvr, "ivr", `{"CallId":"ivr"}`))
		kafkatest.WaitFor(t, "the delivery of the last edit", func() bool {
			for _, d := range deliveries(t, c) {
				if d.GetSubscriptionId() == "sub_churn_0" && d.GetCallId() == "ivr" {
					return true
				}
			}
			return false
		})
	})
}
