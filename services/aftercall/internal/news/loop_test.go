package news

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

// heard counts requests by path and event type, and the distinct ids among them.
type heard struct {
	mu  sync.Mutex
	n   map[string]int
	ids map[string]bool
}

func (h *heard) count(key string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n[key]
}

func TestAnEndpointThatFailsIsToldToAnotherWebhookAndNobodyElse(t *testing.T) {
	const calls = 10 // as many as open the breaker
	c := kafkatest.Start(t).Config()
	log := &heard{n: map[string]int{}, ids: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		log.mu.Lock()
		log.n[q.URL.Path+" "+q.Header.Get("Aftercall-Event-Type")]++
		log.ids[q.URL.Path+q.Header.Get("Webhook-Id")] = true
		log.mu.Unlock()
		if q.URL.Path != "/ops" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)

	keyset := secrettest.Keyset(t)
	news := []string{topic.TypeEndpointFailing, topic.TypeDeliveryGivenUp, topic.TypeEndpointDisabled}
	for id, s := range map[string]subscription.Subscription{
		// It wants the news about itself too, and never gets it; nor does another
		// webhook with the same endpoint.
		"sub_down": {Endpoint: server.URL + "/down", Events: append([]string{topic.TypeQueue}, news...)},
		"sub_twin": {Endpoint: server.URL + "/down", Events: news},
		"sub_ops":  {Endpoint: server.URL + "/ops", Events: news, OUScope: "Root/Elsewhere"},
		// It cannot take the news: nobody is told of that.
		"sub_deaf": {Endpoint: server.URL + "/deaf", Events: news},
	} {
		s.ID, s.Version, s.Active, s.Schedule, s.Name = id, 1, true, webhook.ScheduleOnce, id
		s.SetDefaults()
		sealed, err := keyset.Seal(id, secret.FieldSecret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
		if err != nil {
			t.Fatal(err)
		}
		s.SealedSecret = sealed
		kafkatest.Produce(t, c, record.New(topic.Subscriptions, id, subscription.ToProto(&s), time.Now()))
	}
	var records []*kgo.Record
	for i := range calls {
		records = append(records, kafkatest.CDR(topic.CDRQueue, fmt.Sprint(i), fmt.Sprintf(`{"CallId":"%d","OUPath":"Root/Sales"}`, i)))
	}
	kafkatest.Produce(t, c, records...)

	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() {
		ended <- router.Run(ctx, router.Config{Kafka: c, Instance: "router-1", OUSeparator: "/"}, router.Deps{Logger: zap.NewNop(), Health: lifecycle.NewHealth()})
	}()
	go func() {
		ended <- sender.Run(ctx, sender.Config{Kafka: c, Instance: "sender-1", MaxInFlight: 64}, sender.Deps{
			Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Keyset: keyset,
			Transport: policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 8}), Version: "test",
		})
	}()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	kafkatest.WaitWithin(t, time.Minute, "the news to be heard", func() bool {
		return log.count("/ops "+topic.TypeDeliveryGivenUp) >= calls && log.count("/ops "+topic.TypeEndpointFailing) >= 1 && log.count("/deaf "+topic.TypeDeliveryGivenUp) >= calls-1
	})
	// What the deaf one is given up for would be told together with it.
	kafkatest.WaitWithin(t, time.Minute, "the deaf one's deliveries to be given up", func() bool {
		return len(kafkatest.ReadAll(t, c, topic.GivenUp)) >= 2*calls
	})
	system := kafkatest.ReadAll(t, c, topic.CDRSystem)
	if len(system) != calls+1 {
		t.Errorf("%d system events, want %d", len(system), calls+1)
	}
	for key, want := range map[string]int{
		"/down " + topic.TypeQueue: calls, "/ops " + topic.TypeDeliveryGivenUp: calls, "/ops " + topic.TypeEndpointFailing: 1,
		"/down " + topic.TypeDeliveryGivenUp: 0, "/down " + topic.TypeEndpointFailing: 0,
	} {
		if got := log.count(key); got != want {
			t.Errorf("%s came %d times, want %d", key, got, want)
		}
	}
}
