package sender_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestADeliveryArrivesByteForByteSignedAndIsWrittenDown(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		h := newHarness(t, c)
		receiver := newReceiver(t, nil)
		h.subscribe(subscription.Subscription{
			ID: "sub_1", Endpoint: receiver.URL, Active: true,
			Headers: []subscription.Header{{Name: "X-Team", Value: "blue"}, {Name: "Authorization", Value: "Bearer canary", Secret: true}},
		})
		h.deliver("sub_1", 1)
		h.start()
		kafkatest.WaitFor(t, "the request", func() bool { return receiver.count() == 1 })
		got := receiver.log()[0]
		if want := `{"CallId": "0",  "QueueName":"Sales"}`; string(got.body) != want {
			t.Errorf("body %s, want %s", got.body, want)
		}
		key, err := webhook.ParseSecret(testSecret)
		if err != nil {
			t.Fatal(err)
		}
		if err := webhook.Verify(key, got.id(), got.header.Get("Webhook-Timestamp"), got.header.Get("Webhook-Signature"), got.body, got.at); err != nil {
			t.Errorf("signature: %v", err)
		}
		for name, want := range map[string]string{
			"Webhook-Id": "evt_000000", "Aftercall-Event-Type": topic.TypeQueue, "Aftercall-Delivery-Id": "dlv_sub_1_000000",
			"Aftercall-Attempt": "1", "Aftercall-Cause": "call_ended", "X-Team": "blue", "Authorization": "Bearer canary",
			"Content-Type": "application/json", "User-Agent": "Aftercall/test",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
			}
		}
		kafkatest.WaitFor(t, "the attempt", func() bool { return len(h.attempts()) == 1 })
		a := h.attempts()[0]
		if a.GetResult() != aftercallv1.Attempt_RESULT_DELIVERED || a.GetState() != aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED ||
			a.GetHttpStatus() != 200 || a.GetAttempt() != 1 || a.GetAttemptsAllowed() != 13 || a.GetRemoteAddress() == "" {
			t.Errorf("attempt: %v", a)
		}
		if strings.Contains(a.String(), "canary") {
			t.Error("the attempt holds a secret header's value")
		}
	})
}

func TestAFailedDeliveryWaitsAndOneOutOfTriesIsGivenUp(t *testing.T) {
	h := newHarness(t, kafkatest.Start(t).Config())
	receiver := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	h.subscribe(subscription.Subscription{ID: "once", Endpoint: receiver.URL, Active: true, Schedule: "once"})
	h.subscribe(subscription.Subscription{ID: "long", Endpoint: receiver.URL, Active: true})
	h.deliver("once", 1)
	h.deliver("long", 1)
	h.start()
	kafkatest.WaitFor(t, "both attempts", func() bool { return len(h.attempts()) == 2 })
	// Attempt and next state are produced together, to different partitions.
	kafkatest.WaitFor(t, "one given up", func() bool { return len(kafkatest.ReadAll(t, h.kafka, topic.GivenUp)) == 1 })
	kafkatest.WaitFor(t, "one waiting", func() bool { return len(kafkatest.ReadAll(t, h.kafka, topic.Tiers[0].Topic)) == 1 })
}
