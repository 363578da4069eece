package router_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router"
)

// running is a router under test.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	health *lifecycle.Health
	reg    *prometheus.Registry
}

// start runs a router until the end of the test.
func start(t *testing.T, c kafka.Config, instance string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cancel: cancel, done: make(chan error, 1), health: lifecycle.NewHealth(), reg: prometheus.NewRegistry()}
	r.health.Register(router.CheckKafka)
	r.health.Register(router.CheckSubscriptions)
	logger := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	go func() {
		r.done <- router.Run(ctx, router.Config{Kafka: c, Instance: instance}, router.Deps{Logger: logger, Registry: r.reg, Health: r.health})
	}()
	t.Cleanup(func() { cancel(); <-r.ended() })
	return r
}

// ended is Run's return, to be read any number of times.
func (r *running) ended() chan error {
	out := make(chan error, 1)
	err := <-r.done
	r.done <- err
	out <- err
	return out
}

// stop ends the router and checks that this is no error.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.ended(); err != nil {
		r.t.Errorf("Run = %v", err)
	}
}

func subscribe(t testing.TB, c kafka.Config, s *aftercallv1.Subscription) {
	t.Helper()
	if s.Version == 0 {
		s.Version = 1
	}
	kafkatest.Produce(t, c, record.New(topic.Subscriptions, s.Id, s, time.Now()))
}

func queueSubscription(id string) *aftercallv1.Subscription {
	return &aftercallv1.Subscription{Id: id, Active: true, Events: []string{topic.TypeQueue}, Endpoint: "https://example.com/"}
}

func call(i int) *kgo.Record {
	id := fmt.Sprintf("call-%d", i)
	return kafkatest.CDR(topic.CDRQueue, id, fmt.Sprintf(`{"CallId":%q}`, id))
}

func calls(n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = call(i)
	}
	return records
}

func read[M interface {
	*aftercallv1.Event | *aftercallv1.Delivery | *aftercallv1.Rejection
}](t testing.TB, c kafka.Config, topicName string, open func(*kgo.Record) (M, error)) []M {
	t.Helper()
	var out []M
	for _, r := range kafkatest.ReadAll(t, c, topicName) {
		m, err := open(r)
		if err != nil {
			t.Fatalf("%s/%d offset %d: %v", r.Topic, r.Partition, r.Offset, err)
		}
		out = append(out, m)
	}
	return out
}

func events(t testing.TB, c kafka.Config) []*aftercallv1.Event {
	t.Helper()
	return read(t, c, topic.Events, record.OpenAs[*aftercallv1.Event])
}

func deliveries(t testing.TB, c kafka.Config) []*aftercallv1.Delivery {
	t.Helper()
	return read(t, c, topic.Deliveries, record.OpenAs[*aftercallv1.Delivery])
}

func rejections(t testing.TB, c kafka.Config) []*aftercallv1.Rejection {
	t.Helper()
	return read(t, c, topic.Rejected, record.OpenAs[*aftercallv1.Rejection])
}

// exactly waits for n events and checks that each call of n has one event and
// one delivery: nothing lost, nothing visible twice.
func exactly(t *testing.T, c kafka.Config, n int) {
	t.Helper()
	kafkatest.WaitFor(t, fmt.Sprintf("%d events", n), func() bool { return len(events(t, c)) >= n })
	seen := map[string]int{}
	for _, e := range events(t, c) {
		seen[e.GetCallId()]++
		if e.GetDuplicateOf() != nil {
			t.Errorf("%s is called a repeat", e.GetCallId())
		}
	}
	delivered := map[string]int{}
	for _, d := range deliveries(t, c) {
		delivered[d.GetCallId()]++
	}
	for i := range n {
		id := fmt.Sprintf("call-%d", i)
		if seen[id] != 1 || delivered[id] != 1 {
			t.Errorf("%s has %d events and %d deliveries, want one of each", id, seen[id], delivered[id])
		}
	}
	if len(seen) != n || len(delivered) != n {
		t.Errorf("%d calls with events and %d with deliveries, want %d", len(seen), len(delivered), n)
	}
}
