package sender_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender"
)

// Whatever topic of a sender is deleted and made anew under it, it ends and says
// which; the next one delivers what is in it from its first record.
func TestATopicMadeAnewStopsTheSenderAndTheNextOneReadsItWhole(t *testing.T) {
	for _, name := range []string{topic.Deliveries, topic.Tiers[0].Topic, topic.History, topic.Subscriptions} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, virtual(t))
				var got taken
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got.take(r)
					if r.URL.Path == "/refuses" {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
				})
				subscribe := func() {
					h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true})
					h.subscribe(subscription.Subscription{ID: "sub_2", Endpoint: "https://receiver.example/refuses", Active: true})
				}
				transport := func(_ *sender.Config, d *sender.Deps) { d.Transport = direct{handler} }
				subscribe()
				h.deliver("sub_1", 20)
				h.deliver("sub_2", 1) // so that something waits
				running := h.start(transport)
				until(t, time.Minute, "commit of the first ones", func() bool { return got.distinct() == 21 && h.committed() == 21 })
				kafkatest.MakeAnew(t, h.kafka, name)
				h.deliverFrom("sub_1", 20, 20)
				h.deliverFrom("sub_2", 1, 1)
				err := <-running.done
				close(running.done)
				if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "made again") {
					t.Errorf("Run = %v, which does not say what happened to which topic", err)
				}
				if name == topic.Subscriptions {
					subscribe() // as admin does
				}
				again := h.start(transport)
				h.deliverFrom("sub_1", 40, 20)
				until(t, time.Hour, "delivery of the rest", func() bool { return got.distinct() == 62 })
				again.stop(t)
			})
		})
	}
}
