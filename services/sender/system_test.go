package sender_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/sender"
)

// told are the system events of a type.
func (h *harness) told(eventType string) (out []map[string]any) {
	h.t.Helper()
	for _, r := range kafkatest.ReadAll(h.t, h.kafka, topic.CDRSystem) {
		if typeOf(r) != eventType {
			continue
		}
		var payload map[string]any
		if err := json.Unmarshal(r.Value, &payload); err != nil {
			h.t.Fatal(err)
		}
		out = append(out, payload)
	}
	return out
}

func typeOf(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == cdr.HeaderType {
			return string(h.Value)
		}
	}
	return ""
}

func TestADeliveryThatIsGivenUpIsToldOnce(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		h := newHarness(t, c)
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		h.subscribe(subscription.Subscription{ID: "sub_1", Name: "CRM", Endpoint: r.URL + "/hook?token=s3cret", Active: true, Schedule: webhook.ScheduleOnce})
		h.deliver("sub_1", 3)
		// A system event that cannot be delivered causes none.
		news := delivery("sub_1", 9)
		news.EventType = topic.TypeDeliveryGivenUp
		kafkatest.Produce(t, c, deliveryRecord(news))
		running := h.start()
		kafkatest.WaitFor(t, "four attempts in the history", func() bool { return len(h.attempts()) == 4 })
		running.stop(t)
		told := h.told(topic.TypeDeliveryGivenUp)
		if len(told) != 3 {
			t.Fatalf("%d were told, want 3: %v", len(told), told)
		}
		for _, p := range told {
			if p["SubscriptionId"] != "sub_1" || p["SubscriptionName"] != "CRM" || p["Reason"] != "exhausted" || p["EventType"] != topic.TypeQueue ||
				p["Attempts"] != float64(1) || p["LastStatus"] != float64(500) || p["Cause"] != "call_ended" || p["CallId"] == nil {
				t.Errorf("told %v", p)
			}
		}
	})
}

// Down for the first minutes, then well: one failing, one recovered, however
// often the breaker opened in between.
func TestAnOutageIsToldOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, kafkatest.StartVirtual(t).Config())
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/hook", Active: true, MaxConcurrency: 2})
		h.deliver("sub_1", 30)
		well := time.Now().Add(5 * time.Minute)
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if time.Now().Before(well) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = direct{handler} })
		deadline := time.Now().Add(3 * time.Hour)
		for len(h.told(topic.TypeEndpointRecovered)) == 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Second) // The clock is a fake one: this is how it moves.
		}
		running.stop(t)
		failing, recovered := h.told(topic.TypeEndpointFailing), h.told(topic.TypeEndpointRecovered)
		if len(failing) != 1 || len(recovered) != 1 {
			t.Fatalf("told %d failing, %d recovered", len(failing), len(recovered))
		}
		if p := failing[0]; p["Reason"] != "status 503" || p["EndpointHost"] != "receiver.example" || p["SubscriptionId"] != "sub_1" || p["Until"] == nil {
			t.Errorf("told %v", p)
		}
	})
}
