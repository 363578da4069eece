package sender_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender"
)

func TestPartitionsThatGoToAnotherSenderAreHandedOverAfterTheirSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtual(t)
		c.Session, c.Heartbeat = 10*time.Second, time.Second
		h := newHarness(t, c)
		const n = 256
		var got taken
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got.take(r)
			time.Sleep(20 * time.Second)
		})
		ids := []string{"sub_1", "sub_2", "sub_3", "sub_4"}
		for _, id := range ids {
			h.subscribe(subscription.Subscription{ID: id, Endpoint: "https://receiver.example/", Active: true, Timeout: 25 * time.Second})
		}
		slow := func(instance string) func(*sender.Config, *sender.Deps) {
			return func(c *sender.Config, d *sender.Deps) { c.Instance, d.Transport = instance, direct{handler} }
		}
		first := h.start(slow("sender-1"))
		until(t, time.Minute, "readiness", func() bool { return first.health.Err() == nil })
		// One by one, so that requests of every partition are under way.
		client := kafkatest.Client(t, h.kafka, h.kafka.Producer()...)
		for i := range n {
			if err := client.ProduceSync(t.Context(), deliveryRecord(delivery(ids[i%4], i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		until(t, time.Minute, "request to each", func() bool { return got.distinct() == 4*subscription.DefaultMaxConcurrency })
		time.Sleep(2 * time.Second)
		second := h.start(slow("sender-2"))
		until(t, 10*time.Minute, "delivery of all", func() bool { return got.distinct() == n && h.committed() == n })
		got.once(t)
		second.stop(t)
		first.stop(t)
		got.once(t)
		senders := map[string]int{}
		for _, a := range h.attempts() {
			senders[a.GetSender()]++
		}
		if senders["sender-1"] == 0 || senders["sender-2"] == 0 {
			t.Errorf("requests by sender: %v", senders)
		}
	})
}

func TestAWebhookThatIsDeletedWithManyWaitingHoldsNobodyUp(t *testing.T) {
	h := newHarness(t, kafkatest.Start(t).Config())
	receiver := newReceiver(t, nil)
	h.subscribe(subscription.Subscription{ID: "gone", Endpoint: receiver.URL, Active: true})
	h.subscribe(subscription.Subscription{ID: "well", Endpoint: receiver.URL, Active: true})
	const waiting, calls = 5000, 50
	records := make([]*kgo.Record, waiting)
	for i := range records {
		d := delivery("gone", i)
		d.Attempt = 2
		records[i] = record.New(topic.Tiers[0].Topic, record.ShardKey(d, subscription.DefaultMaxConcurrency), d, time.Now().Add(-time.Minute)) // due
	}
	kafkatest.Produce(t, h.kafka, records...)
	h.subscribe(subscription.Subscription{ID: "gone", Version: 2, Deleted: true})
	h.deliver("well", calls)
	h.start()
	kafkatest.WaitFor(t, "the calls of the other one", func() bool { return receiver.distinct() == calls })
	kafkatest.WaitFor(t, "the end of all that waited", func() bool { return h.committed() == waiting+calls })
	ended := 0
	for _, a := range h.attempts() {
		if a.GetSubscriptionId() == "gone" && a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED && a.GetStateReason() == "deleted" {
			ended++
		}
	}
	if ended != waiting || receiver.count() != calls {
		t.Errorf("%d of %d ended, %d requests", ended, waiting, receiver.count())
	}
}
