package router_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router"
)

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
