package sender_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/sender"
)

// direct answers requests without a network, so that time can be a fake one.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestAReceiverThatAnswers503TwiceGetsItsThirdAttemptAfterFiveAndThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, kafkatest.StartVirtual(t).Config())
		var tries atomic.Int32
		receiver := newReceiver(t, nil)
		receiver.Close()
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/hook", Active: true})
		h.deliver("sub_1", 1)
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			receiver.Config.Handler.ServeHTTP(w, r)
			if tries.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = direct{handler} })
		for receiver.count() < 3 {
			time.Sleep(time.Second) // The clock is a fake one: this is how it moves.
		}
		running.stop(t)
		log := receiver.log()
		if len(log) != 3 {
			t.Fatalf("%d requests", len(log))
		}
		key, err := webhook.ParseSecret(testSecret)
		if err != nil {
			t.Fatal(err)
		}
		signatures := map[string]bool{}
		for i, q := range log {
			if q.id() != "evt_000000" {
				t.Errorf("request %d: webhook-id %s", i, q.id())
			}
			if err := webhook.Verify(key, q.id(), q.header.Get("Webhook-Timestamp"), q.header.Get("Webhook-Signature"), q.body, q.at); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			signatures[q.header.Get("Webhook-Signature")] = true
		}
		if len(signatures) != 3 {
			t.Error("a signature was used twice")
		}
		for i, want := range []time.Duration{5 * time.Second, 30 * time.Second} {
			if got := log[i+1].at.Sub(log[i].at); got < want || got > want+2*time.Second {
				t.Errorf("attempt %d came after %v, want %v", i+2, got, want)
			}
		}
	})
}
