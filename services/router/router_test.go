package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
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

func TestACDRBecomesAnEventAndADeliveryPerSubscription(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		subscribe(t, c, queueSubscription("sub_b"))
		off := queueSubscription("sub_off")
		off.Active = false
		subscribe(t, c, off)
		subscribe(t, c, &aftercallv1.Subscription{Id: "sub_ivr", Active: true, Events: []string{topic.TypeIvr}})
		r := start(t, c, "r1")
		body := `{"CallId":"c1","ScenarioId":"s1","Extra":[1, 2]}`
		at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
		in := kafkatest.CDR(topic.CDRQueue, "c1", body, cdr.HeaderTime, at.Format(time.RFC3339Nano), cdr.HeaderSource, "pbx")
		kafkatest.Produce(t, c, in)
		kafkatest.WaitFor(t, "the event", func() bool { return len(events(t, c)) == 1 })
		e := events(t, c)[0]
		if string(e.GetPayload()) != body {
			t.Errorf("payload is %s", e.GetPayload())
		}
		if e.GetCallId() != "c1" || e.GetScenarioId() != "s1" || e.GetEventType() != topic.TypeQueue || e.GetSource() != "pbx" || !e.GetOccurredAt().AsTime().Equal(at) {
			t.Errorf("event is %v", e)
		}
		if e.GetSubscriptionsOffset() != 4 || e.GetPosition().GetOffset() != in.Offset || e.GetPosition().GetPartition() != in.Partition {
			t.Errorf("event is %v", e)
		}
		decided := map[string]aftercallv1.Decision_Outcome{}
		for _, d := range e.GetDecisions() {
			decided[d.GetSubscriptionId()] = d.GetOutcome()
		}
		if len(decided) != 3 || decided["sub_a"] != aftercallv1.Decision_OUTCOME_MATCHED || decided["sub_off"] != aftercallv1.Decision_OUTCOME_INACTIVE {
			t.Errorf("decisions are %v", decided)
		}
		got := deliveries(t, c)
		if len(got) != 2 {
			t.Fatalf("%d deliveries", len(got))
		}
		for _, d := range got {
			if d.GetDeliveryId() != cdr.DeliveryID(e.GetEventId(), d.GetSubscriptionId(), cdr.CauseCallEnded, "") || string(d.GetPayload()) != body || d.GetAttempt() != 1 {
				t.Errorf("delivery is %v", d)
			}
		}
		if err := r.health.Err(); err != nil {
			t.Errorf("health: %v", err)
		}
		r.stop()
	})
}

func TestABadCDRIsRejectedWithAReasonAndTheFlowGoesOn(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "r1")
		bad := map[string]*kgo.Record{
			cdr.CodeNotJSON:           kafkatest.CDR(topic.CDRQueue, "", `{"CallId":`),
			cdr.CodeNotUTF8:           kafkatest.CDR(topic.CDRQueue, "", "{\"CallId\":\"\xff\"}"),
			cdr.CodeNotObject:         kafkatest.CDR(topic.CDRQueue, "", `["CallId"]`),
			cdr.CodeTooLarge:          kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1","X":"`+strings.Repeat("x", kafka.DefaultMaxRecordBytes)+`"}`),
			cdr.CodeCallIDMissing:     kafkatest.CDR(topic.CDRQueue, "", `{}`),
			cdr.CodeCallIDInvalid:     kafkatest.CDR(topic.CDRQueue, "", `{"CallId":[]}`),
			cdr.CodeTypeContradiction: kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1"}`, cdr.HeaderType, topic.TypeIvr),
			cdr.CodeVersionUnknown:    kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1"}`, record.Header, "cdr/2"),
		}
		var records []*kgo.Record
		for _, r := range bad {
			records = append(records, r)
		}
		kafkatest.Produce(t, c, records...)
		kafkatest.Produce(t, c, call(0))
		exactly(t, c, 1)
		// Rejections of partitions other than the good call's may still come.
		kafkatest.WaitFor(t, "all rejections", func() bool { return len(rejections(t, c)) == len(bad) })
		for _, r := range rejections(t, c) {
			in := bad[r.GetCode()]
			if in == nil {
				t.Errorf("rejected as %s: %s", r.GetCode(), r.GetReason())
				continue
			}
			if r.GetPosition().GetOffset() != in.Offset || r.GetReason() == "" || r.GetPayloadBytes() != int64(len(in.Value)) {
				t.Errorf("%s: rejection is %v", r.GetCode(), r)
			}
			if r.GetCode() == cdr.CodeTypeContradiction && r.GetField() != cdr.HeaderType {
				t.Errorf("%s names field %q", r.GetCode(), r.GetField())
			}
			if len(r.GetPayload()) > 64<<10 {
				t.Errorf("%s keeps %d bytes", r.GetCode(), len(r.GetPayload()))
			}
		}
	})
}

func TestTheSameRecordTwiceIsOneDelivery(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "r1")
		first := kafkatest.Produce(t, c, call(0))[0]
		kafkatest.WaitFor(t, "the first event", func() bool { return len(events(t, c)) == 1 })
		// The same key leads to the same partition: the repeat is recognised, in
		// a later batch as well as in the same one.
		kafkatest.Produce(t, c, call(0), call(0))
		kafkatest.WaitFor(t, "three events", func() bool { return len(events(t, c)) == 3 })
		repeats := 0
		for _, e := range events(t, c) {
			if d := e.GetDuplicateOf(); d != nil {
				repeats++
				if d.GetOffset() != first.Offset || d.GetPartition() != first.Partition || len(e.GetDecisions()) != 0 {
					t.Errorf("repeat is %v", e)
				}
			}
		}
		if repeats != 2 || len(deliveries(t, c)) != 1 {
			t.Errorf("%d repeats, %d deliveries", repeats, len(deliveries(t, c)))
		}
	})
}

func TestARepeatThatNobodyWantedBeforeIsDelivered(t *testing.T) {
	c := kafkatest.Start(t).Config()
	start(t, c, "r1")
	kafkatest.Produce(t, c, call(0))
	kafkatest.WaitFor(t, "the first event", func() bool { return len(events(t, c)) == 1 })
	subscribe(t, c, queueSubscription("sub_a"))
	kafkatest.WaitFor(t, "the delivery", func() bool {
		kafkatest.Produce(t, c, call(0))
		return len(deliveries(t, c)) > 0
	})
}

func TestARecordRoutedTwiceByTwoGroupsHasOneDeliveryID(t *testing.T) {
	c := kafkatest.Start(t).Config()
	subscribe(t, c, queueSubscription("sub_a"))
	// Without a key the copies may land anywhere; what makes them one is the id.
	kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1"}`))
	r := start(t, c, "r1")
	kafkatest.WaitFor(t, "the event", func() bool { return len(events(t, c)) == 1 })
	r.stop() // forgets what it has seen
	kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1"}`))
	start(t, c, "r1")
	kafkatest.WaitFor(t, "the second event", func() bool { return len(events(t, c)) == 2 })
	got := deliveries(t, c)
	if len(got) != 2 || got[0].GetDeliveryId() != got[1].GetDeliveryId() {
		t.Errorf("deliveries are %v", got)
	}
}

func TestARestartLosesNothingAndRepeatsNothing(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		const n = 3000
		producing := make(chan struct{})
		go func() {
			defer close(producing)
			all := calls(n)
			for batch := range slices.Chunk(all, 100) {
				kafkatest.Produce(t, c, batch...)
			}
		}()
		for i := range 4 {
			r := start(t, c, "r1")
			kafkatest.WaitFor(t, "progress", func() bool { return len(events(t, c)) > i*n/6 })
			r.stop()
		}
		<-producing
		start(t, c, "r1")
		exactly(t, c, n)
	})
}

// F12: with the subscriptions only half read, the first CDR would miss the others.
func TestTheFirstCDRMeetsAllSubscriptions(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		var subscriptions []*kgo.Record
		for i := range 900 {
			s := queueSubscription(fmt.Sprintf("sub_%04d", i))
			s.Version = 1
			s.Description = strings.Repeat("x", 10_000)
			subscriptions = append(subscriptions, record.New(topic.Subscriptions, s.Id, s, time.Now()))
		}
		kafkatest.Produce(t, c, subscriptions...)
		kafkatest.Produce(t, c, call(0))
		start(t, c, "r1")
		kafkatest.WaitFor(t, "the event", func() bool { return len(events(t, c)) == 1 })
		if got := len(deliveries(t, c)); got != 900 {
			t.Errorf("%d deliveries of 900", got)
		}
	})
}

func TestOverAThousandMatchesAreRejectedWhole(t *testing.T) {
	c := kafkatest.Start(t).Config()
	var subscriptions []*kgo.Record
	for i := range 1001 {
		s := queueSubscription(fmt.Sprintf("sub_%04d", i))
		s.Version = 1
		subscriptions = append(subscriptions, record.New(topic.Subscriptions, s.Id, s, time.Now()))
	}
	kafkatest.Produce(t, c, subscriptions...)
	start(t, c, "r1")
	kafkatest.Produce(t, c, call(0))
	kafkatest.WaitFor(t, "the rejection", func() bool { return len(rejections(t, c)) == 1 })
	if r := rejections(t, c)[0]; r.GetCode() != cdr.CodeTooManyMatches || len(deliveries(t, c)) != 0 {
		t.Errorf("rejection is %v, with %d deliveries", r, len(deliveries(t, c)))
	}
}

// A burst whose output outgrows one transaction is taken in smaller parts.
func TestALargeFanOutIsRoutedInParts(t *testing.T) {
	c := kafkatest.Start(t).Config()
	var subscriptions []*kgo.Record
	for i := range 300 {
		s := queueSubscription(fmt.Sprintf("sub_%04d", i))
		s.Version = 1
		subscriptions = append(subscriptions, record.New(topic.Subscriptions, s.Id, s, time.Now()))
	}
	kafkatest.Produce(t, c, subscriptions...)
	kafkatest.Produce(t, c, calls(200)...) // 60,000 deliveries
	start(t, c, "r1")
	kafkatest.WaitFor(t, "all events", func() bool { return len(events(t, c)) == 200 })
	if got := len(deliveries(t, c)); got != 60_000 {
		t.Errorf("%d deliveries", got)
	}
}

func TestATestGoesToItsTargetOnly(t *testing.T) {
	c := kafkatest.Start(t).Config()
	for _, id := range []string{"sub_a", "sub_b"} {
		s := queueSubscription(id)
		s.OuScope = "Root/Sales"
		subscribe(t, c, s)
	}
	start(t, c, "r1")
	kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRTest, "", `{"Message":"hello","TestId":"t1"}`, cdr.HeaderType, topic.TypeTest, cdr.HeaderTarget, "sub_b"))
	kafkatest.WaitFor(t, "the event", func() bool { return len(events(t, c)) == 1 })
	got := deliveries(t, c)
	if len(got) != 1 || got[0].GetSubscriptionId() != "sub_b" || got[0].GetCause() != aftercallv1.Cause_CAUSE_TEST {
		t.Errorf("deliveries are %v", got)
	}
}

// F2, F3, F4, F9: whatever the broker answers to the steps of a commit, readers
// see each call once.
func TestFaultsOfACommitLoseNothingAndRepeatNothing(t *testing.T) {
	for _, fault := range []struct {
		name string
		kfake.Fault
	}{
		{"TxnOffsetCommit answered with an abortable error", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: 3}},
		{"TxnOffsetCommit answered with a rebalance", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress, Count: 3}},
		{"TxnOffsetCommit answered with a final error", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.InvalidTxnState, Count: 2}},
		{"EndTxn answered with an unknown error", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError, Count: 3}},
		{"EndTxn answered with a final error", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidTxnState, Count: 2}},
		{"EndTxn times out after the commit", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.RequestTimedOut, Count: 2}},
		{"Produce refused", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Deliveries, Err: kerr.InvalidTxnState, Count: 2}},
		{"the producer is fenced once", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced, Count: 1}},
		{"AddPartitionsToTxn refused", kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: topic.Deliveries, Err: kerr.CoordinatorNotAvailable, Count: 2}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Start(t)
			c := b.Config()
			subscribe(t, c, queueSubscription("sub_a"))
			start(t, c, "r1")
			all := calls(600)
			kafkatest.Produce(t, c, all[:200]...)
			kafkatest.WaitFor(t, "a healthy start", func() bool { return len(events(t, c)) == 200 })
			h := b.Cluster().Fault(fault.Fault)
			kafkatest.Produce(t, c, all[200:400]...)
			kafkatest.WaitFor(t, "the end of the fault", func() bool {
				return h.Hits() >= max(1, fault.Count) || len(events(t, c)) >= 400
			})
			kafkatest.Produce(t, c, all[400:]...)
			exactly(t, c, 600)
		})
	}
}

// F9 to the letter: the broker commits, and its answer gets lost.
func TestACommitWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	r := start(t, c, "r1")
	kafkatest.Produce(t, c, call(0))
	exactly(t, c, 1)
	// The first EndTxn is let through by sending it ourselves: the router's own
	// then comes after the commit, and is answered with an error.
	client := kafkatest.Client(t, c)
	var forwarded bool
	b.Cluster().ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if forwarded {
			return nil, nil, false
		}
		forwarded = true
		b.Cluster().KeepControl()
		end := req.(*kmsg.EndTxnRequest)
		copied := *end
		b.Cluster().SleepControl(func() {
			_, _ = copied.RequestWith(context.Background(), client)
		})
		resp := end.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	kafkatest.Produce(t, c, call(1))
	exactly(t, c, 2)
	kafkatest.Produce(t, c, call(2))
	exactly(t, c, 3)
	if n := counter(t, r.reg, "aftercall_router_session_rebuilds_total"); n == 0 {
		t.Error("the router took the answer at its word")
	}
}

// counter is the sum of a counter over its labels.
func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// F1: a router that dies between produce and End leaves nothing that a
// read_committed reader sees, and the next one with its name routes it all.
func TestARouterThatDiesInItsTransactionIsTakenOver(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		kafkatest.Produce(t, c, calls(100)...)
		// What a router does, up to the point where it dies: its client is
		// dropped as a kill would, without an end of anything.
		dead := kafkatest.Client(t, c, append(c.Producer(), kgo.TransactionalID("aftercall-router-r1"))...)
		if err := dead.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{topic.Events, topic.Deliveries} {
			if err := dead.ProduceSync(t.Context(), record.New(name, "k", &aftercallv1.Event{EventId: "evt_torn", CallId: "torn"}, time.Now())).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		start(t, c, "r1")
		exactly(t, c, 100)
	})
}

// F7: two with one name. One of them ends and explains, the other goes on.
func TestOfTwoRoutersWithOneNameOneEndsAndExplains(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		a, b := start(t, c, "same"), start(t, c, "same")
		stopped := make(chan struct{})
		produced := make(chan int, 1)
		go func() {
			n := 0
			for {
				select {
				case <-stopped:
					produced <- n
					return
				default:
					kafkatest.Produce(t, c, call(n))
					n++
				}
			}
		}()
		var err error
		select {
		case err = <-a.done:
			a.done <- err
		case err = <-b.done:
			b.done <- err
		case <-time.After(2 * kafkatest.Patience):
			t.Error("both go on")
		}
		close(stopped)
		n := <-produced
		if !errors.Is(err, router.ErrFenced) || !strings.Contains(err.Error(), "AFTERCALL_INSTANCE") {
			t.Errorf("Run = %v", err)
		}
		exactly(t, c, n)
	})
}

// F8, short: instances come and go while calls are routed.
func TestARebalanceStormLosesNothingAndRepeatsNothing(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "steady")
		const n = 2000
		producing := make(chan struct{})
		go func() {
			defer close(producing)
			for batch := range slices.Chunk(calls(n), 20) {
				kafkatest.Produce(t, c, batch...)
			}
		}()
		for i := range 3 {
			r := start(t, c, fmt.Sprintf("passing-%d", i))
			kafkatest.WaitFor(t, "the passing router", func() bool { return r.health.Err() == nil })
			r.stop()
		}
		<-producing
		exactly(t, c, n)
	})
}

// A compressed batch that unpacks to more than a client will hold.
func TestADecompressionBombIsRejectedAsARangeAndSkipped(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		start(t, c, "r1")
		upstream := kafkatest.Client(t, c,
			kgo.ProducerBatchMaxBytes(96<<20), kgo.BrokerMaxWriteBytes(100<<20),
			kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(time.Second),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		var bomb []*kgo.Record
		for range 10 {
			bomb = append(bomb, &kgo.Record{Topic: topic.CDRQueue, Partition: 0, Value: make([]byte, 7<<20)})
		}
		if err := upstream.ProduceSync(t.Context(), bomb...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		good := call(0)
		good.Partition = 0
		if err := upstream.ProduceSync(t.Context(), good).FirstErr(); err != nil {
			t.Fatal(err)
		}
		exactly(t, c, 1)
		got := rejections(t, c)
		if len(got) != 1 || got[0].GetCode() != cdr.CodeBatchTooLarge || got[0].GetPosition().GetOffset() != bomb[0].Offset || got[0].GetLastOffset() != bomb[9].Offset {
			t.Errorf("rejections are %v", got)
		}
	})
}

func TestALogThatLostItsRecordsStopsTheRouter(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		kafkatest.Produce(t, c, calls(5)...)
		beyond := kadm.Offsets{}
		beyond.AddOffset(topic.CDRQueue, 0, 1000, -1)
		answers, err := kafkatest.Admin(t, c).CommitOffsets(t.Context(), topic.GroupRouter, beyond)
		if err != nil || answers.Error() != nil {
			t.Fatal(err, answers.Error())
		}
		r := start(t, c, "r1")
		select {
		case err := <-r.done:
			r.done <- err
			if !errors.Is(err, kafka.ErrOffsets) || !strings.Contains(err.Error(), topic.CDRQueue+"/0") {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(kafkatest.Patience):
			t.Fatal("the router goes on")
		}
	})
}

func TestTheRouterOutlastsTheBroker(t *testing.T) {
	dir := t.TempDir()
	b := kafkatest.Start(t, func(c *embedded.Config) { c.Dir = dir })
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	r := start(t, c, "r1")
	all := calls(200)
	kafkatest.Produce(t, c, all[:100]...)
	exactly(t, c, 100)
	b.Close()
	kafkatest.WaitFor(t, "the health to tell", func() bool { return r.health.Err() != nil })
	kafkatest.Start(t, func(c *embedded.Config) { c.Dir, c.Listen = dir, b.Addr })
	kafkatest.Produce(t, c, all[100:]...)
	exactly(t, c, 200)
	kafkatest.WaitFor(t, "the health to recover", func() bool { return r.health.Err() == nil })
}

// An error that every further try would meet again ends the router: going on
// would lose records, and waiting would hide it.
func TestATerminalErrorOfAProduceStopsTheRouter(t *testing.T) {
	for name, code := range map[string]*kerr.Error{"access denied": kerr.TopicAuthorizationFailed, "a record too large on its own": kerr.MessageTooLarge} {
		t.Run(name, func(t *testing.T) {
			b := kafkatest.Start(t)
			c := b.Config()
			subscribe(t, c, queueSubscription("sub_a"))
			r := start(t, c, "r1")
			b.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Events, Err: code, Count: -1})
			kafkatest.Produce(t, c, calls(10)...)
			select {
			case err := <-r.done:
				r.done <- err
				if !errors.Is(err, code) || !strings.Contains(err.Error(), topic.CDRQueue) {
					t.Errorf("Run = %v", err)
				}
			case <-time.After(kafkatest.Patience):
				t.Fatal("the router goes on")
			}
			if r.health.Err() == nil {
				t.Error("the health says all is well")
			}
			if len(events(t, c))+len(deliveries(t, c)) > 0 {
				t.Error("something of the batch is visible")
			}
		})
	}
}

func TestFurtherSourcesAreRoutedAsTheirType(t *testing.T) {
	c := kafkatest.Start(t).Config()
	const other = "contoso.queue.v2"
	if _, err := kafkatest.Admin(t, c).CreateTopic(t.Context(), 1, 1, nil, other); err != nil {
		t.Fatal(err)
	}
	subscribe(t, c, queueSubscription("sub_a"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- router.Run(ctx, router.Config{Kafka: c, Instance: "r1", Sources: map[string]string{other: topic.TypeQueue}}, router.Deps{})
	}()
	kafkatest.Produce(t, c, kafkatest.CDR(other, "", `{"CallId":"1"}`))
	kafkatest.WaitFor(t, "the event", func() bool { return len(events(t, c)) == 1 })
	if e := events(t, c)[0]; e.GetEventType() != topic.TypeQueue || e.GetPosition().GetTopic() != other || len(deliveries(t, c)) != 1 {
		t.Errorf("event is %v", e)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// BenchmarkRouter measures the router with everything around it: fetch, route,
// produce, transaction, on the embedded broker in memory.
func BenchmarkRouter(b *testing.B) {
	c := kafkatest.Start(b).Config()
	subscribe(b, c, queueSubscription("sub_a"))
	body := strings.Repeat("x", 1000)
	records := make([]*kgo.Record, b.N)
	for i := range records {
		records[i] = kafkatest.CDR(topic.CDRQueue, "", fmt.Sprintf(`{"CallId":"call-%d","Notes":%q}`, i, body))
	}
	for batch := range slices.Chunk(records, 5000) {
		kafkatest.Produce(b, c, batch...)
	}
	reg := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	reader := kafkatest.Client(b, c, kgo.ConsumeTopics(topic.Events))
	b.ResetTimer()
	go func() {
		done <- router.Run(ctx, router.Config{Kafka: c, Instance: "bench"}, router.Deps{Registry: reg})
	}()
	for n := 0; n < b.N; {
		n += reader.PollFetches(ctx).NumRecords()
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
