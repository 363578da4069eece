package sender_test

// The harness of these tests. Real: the wire protocol of Kafka (embedded or
// Apache's own), HTTP over loopback, signatures, sealed secrets. Doubled: the
// router, by producing deliveries as it would. Assertions may be made on what
// the receiver logged, on committed records of the topics, and on committed
// offsets; never on the sender's inside.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type harness struct {
	t      *testing.T
	kafka  kafka.Config
	keyset *secret.Keyset
	log    *zap.Logger
}

func newHarness(t *testing.T, c kafka.Config) *harness {
	t.Helper()
	keyset := secrettest.Keyset(t)
	return &harness{t: t, kafka: c, keyset: keyset, log: zap.NewNop()}
}

// subscribe publishes a subscription as admin would.
func (h *harness) subscribe(s subscription.Subscription) {
	h.t.Helper()
	if s.Version == 0 {
		s.Version = 1
	}
	s.Tenant = subscription.DefaultTenant
	if s.Format == "" {
		s.Format = subscription.FormatCDR
	}
	sealed, err := h.keyset.Seal(s.ID, secret.FieldSecret, []byte(testSecret))
	if err != nil {
		h.t.Fatal(err)
	}
	s.SealedSecret = sealed
	for i := range s.Headers {
		if s.Headers[i].Secret {
			if s.Headers[i].Sealed, err = h.keyset.Seal(s.ID, secret.HeaderField(s.Headers[i].Name), []byte(s.Headers[i].Value)); err != nil {
				h.t.Fatal(err)
			}
			s.Headers[i].Value = ""
		}
	}
	kafkatest.Produce(h.t, h.kafka, record.New(topic.Subscriptions, s.ID, subscription.ToProto(&s), time.Now()))
}

// delivery is one as the router would make it.
func delivery(sub string, n int) *aftercallv1.Delivery {
	now := timestamppb.Now()
	return &aftercallv1.Delivery{
		DeliveryId: fmt.Sprintf("dlv_%s_%06d", sub, n), EventId: fmt.Sprintf("evt_%06d", n), SubscriptionId: sub,
		Tenant: "default", EventType: topic.TypeQueue, CallId: fmt.Sprint(n), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
		Attempt: 1, OccurredAt: now, FirstQueuedAt: now, Payload: fmt.Appendf(nil, `{"CallId": "%d",  "QueueName":"Sales"}`, n),
	}
}

func deliveryRecord(d *aftercallv1.Delivery) *kgo.Record {
	return record.New(topic.Deliveries, record.ShardKey(d, subscription.DefaultMaxConcurrency), d, time.Now())
}

// deliver produces n deliveries to a subscription.
func (h *harness) deliver(sub string, n int) {
	h.t.Helper()
	h.deliverFrom(sub, 0, n)
}

// deliverFrom produces n more, behind the first ones.
func (h *harness) deliverFrom(sub string, first, n int) {
	h.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = deliveryRecord(delivery(sub, first+i))
	}
	kafkatest.Produce(h.t, h.kafka, records...)
}

// running is a sender that runs.
type running struct {
	cancel context.CancelFunc
	done   chan error
	health *lifecycle.Health
}

// start runs a sender until the test ends or stop is called.
func (h *harness) start(options ...func(*sender.Config, *sender.Deps)) *running {
	h.t.Helper()
	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	if err != nil {
		h.t.Fatal(err)
	}
	cfg := sender.Config{Kafka: h.kafka, Instance: "sender-1", StaticInstance: true, MaxInFlight: 512}
	deps := sender.Deps{
		Logger: h.log, Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Keyset: h.keyset,
		Transport: policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 64}), Version: "test",
	}
	for _, o := range options {
		o(&cfg, &deps)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan error, 1), health: deps.Health}
	go func() { r.done <- sender.Run(ctx, cfg, deps) }()
	h.t.Cleanup(func() {
		cancel()
		if err, ok := <-r.done; ok && err != nil {
			h.t.Errorf("sender: %v", err)
		}
	})
	return r
}

// stop ends a sender as SIGTERM would.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	err := <-r.done
	close(r.done)
	if err != nil {
		t.Errorf("sender: %v", err)
	}
}

// receiver logs every request before it answers.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

type request struct {
	at     time.Time
	header http.Header
	body   []byte
}

func (r request) id() string { return r.header.Get("Webhook-Id") }

// newReceiver starts one. What sets its server up runs before it serves:
// afterwards its goroutines read the fields.
func newReceiver(t *testing.T, answer http.HandlerFunc, setUp ...func(*http.Server)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.requests = append(r.requests, request{time.Now(), q.Header, body})
		r.mu.Unlock()
		if answer != nil {
			answer(w, q)
		}
	}))
	for _, set := range setUp {
		set(r.Config)
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) log() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]request(nil), r.requests...)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

func (r *receiver) distinct() int {
	ids := map[string]bool{}
	for _, q := range r.log() {
		ids[q.header.Get("Aftercall-Delivery-Id")] = true
	}
	return len(ids)
}

// attempts are the attempts in the history, in the order of the topic.
func (h *harness) attempts() []*aftercallv1.Attempt {
	h.t.Helper()
	var out []*aftercallv1.Attempt
	for _, r := range kafkatest.ReadAll(h.t, h.kafka, topic.History) {
		m, err := record.Open(r)
		if err != nil {
			h.t.Fatal(err)
		}
		if a, ok := m.(*aftercallv1.Attempt); ok {
			out = append(out, a)
		}
	}
	return out
}
