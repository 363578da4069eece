package e2e

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// TestHostileRecordsOnInternalTopicsStopNothing writes what nobody should to the
// topics between the services. None of them ends, no partition stands still, and
// what is right goes on.
func TestHostileRecordsOnInternalTopicsStopNothing(t *testing.T) {
	s := onEmbedded(t)
	r := newReceiver(t, listen.Options{})
	u := newUpstream(t, s.kafka)
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
	for _, name := range []string{"router", "projector"} {
		s.start(name)
	}
	s.start("sender", open...)
	<-u.send(topic.CDRQueue, 20, 1000)
	wait(t, "the first calls", func() bool { return r.delivered() == 20 })

	now := time.Now()
	delivery := func(change func(*aftercallv1.Delivery)) *aftercallv1.Delivery {
		d := &aftercallv1.Delivery{
			DeliveryId: "dlv_hostile", EventId: "evt_hostile", SubscriptionId: "sub_a", Tenant: "default", EventType: topic.TypeQueue, CallId: "1",
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, OccurredAt: timestamppb.New(now), FirstQueuedAt: timestamppb.New(now), Payload: []byte(`{"CallId":"1"}`),
		}
		change(d)
		return d
	}
	n := 0
	var all []*kgo.Record
	add := func(name string, m proto.Message, more ...func(*kgo.Record)) {
		n++
		rec := record.New(name, fmt.Sprintf("hostile-%d", n), m, now)
		for _, f := range more {
			f(rec)
		}
		all = append(all, rec)
	}
	raw := func(name string, value []byte, headers ...kgo.RecordHeader) {
		all = append(all, &kgo.Record{Topic: name, Value: value, Headers: headers})
	}
	for i, change := range []func(*aftercallv1.Delivery){
		func(d *aftercallv1.Delivery) { d.Attempt = -1 },
		func(d *aftercallv1.Delivery) { d.Attempt = 0 },
		func(d *aftercallv1.Delivery) { d.Attempt = math.MaxInt32 },
		func(d *aftercallv1.Delivery) { d.Deferrals = math.MinInt32 },
		func(d *aftercallv1.Delivery) { d.Deferrals = math.MaxInt32 },
		func(d *aftercallv1.Delivery) { d.FirstQueuedAt = &timestamppb.Timestamp{Seconds: math.MaxInt64} },
		func(d *aftercallv1.Delivery) { d.FirstQueuedAt = nil },
		func(d *aftercallv1.Delivery) { d.OccurredAt = &timestamppb.Timestamp{Seconds: -1 << 62, Nanos: -5} },
		func(d *aftercallv1.Delivery) { d.SubscriptionId = "sub_nobody" },
		func(d *aftercallv1.Delivery) { d.SubscriptionId = strings.Repeat("x", 10_000) },
		func(d *aftercallv1.Delivery) { d.SubscriptionId, d.DeliveryId, d.EventId, d.EventType = "", "", "", "" },
		func(d *aftercallv1.Delivery) { d.Payload = nil },
		func(d *aftercallv1.Delivery) { d.Payload = []byte{0xff, 0, '{'} },
		func(d *aftercallv1.Delivery) { d.Cause = 99 },
		func(d *aftercallv1.Delivery) { d.WebhookId = "a\r\nx-evil: 1" },
		func(d *aftercallv1.Delivery) { d.EventType = "App.Ünknown\x00\r\n" },
		func(d *aftercallv1.Delivery) { d.Traceparent = "00-\r\n" },
	} {
		one := delivery(change)
		if one.DeliveryId != "" {
			one.DeliveryId, one.EventId = fmt.Sprintf("dlv_hostile%d", i), fmt.Sprintf("evt_hostile%d", i)
		}
		add(topic.Deliveries, one)
		add(topic.Tiers[0].Topic, one)
	}
	for _, name := range []string{topic.Deliveries, topic.Tiers[0].Topic, topic.Events, topic.History, topic.Rejected} {
		raw(name, nil)
		raw(name, []byte("not protobuf"), kgo.RecordHeader{Key: record.Header, Value: []byte("delivery/1")})
		raw(name, []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}, kgo.RecordHeader{Key: record.Header, Value: []byte("attempt/1")})
		raw(name, []byte{0x08}, kgo.RecordHeader{Key: record.Header, Value: []byte("event/1")})
		headers := make([]kgo.RecordHeader, 50_000)
		for i := range headers {
			headers[i] = kgo.RecordHeader{Key: "h", Value: []byte("v")}
		}
		raw(name, nil, headers...)
	}
	// Times that a producer may claim.
	for _, at := range []time.Time{time.Unix(0, 0), time.UnixMilli(-1), now.AddDate(1000, 0, 0)} {
		add(topic.Tiers[0].Topic, delivery(func(d *aftercallv1.Delivery) { d.DeliveryId = "dlv_at" + fmt.Sprint(at.Unix()) }), func(r *kgo.Record) { r.Timestamp = at })
		add(topic.History, &aftercallv1.Attempt{AttemptId: "att_at" + fmt.Sprint(at.Unix()), DeliveryId: "dlv_x", Attempt: -7}, func(r *kgo.Record) { r.Timestamp = at })
	}
	// Subscriptions: a lower version, a secret that is not theirs, one that never
	// was, an unknown deletion.
	sub := subscription.ToProto(&subscription.Subscription{ID: "sub_a", Version: -5, Endpoint: "https://192.0.2.1/", Active: false})
	all = append(all, record.New(topic.Subscriptions, "sub_a", sub, now))
	all = append(all, record.New(topic.Subscriptions, "sub_x", &aftercallv1.Subscription{Id: "sub_x", Version: 1, Active: true, SealedSecret: []byte("garbage"), Events: []string{topic.TypeQueue}, Endpoint: "::::"}, now))
	raw(topic.Subscriptions, nil)
	all = append(all, &kgo.Record{Topic: topic.Subscriptions, Key: []byte("sub_nobody")})
	raw(topic.Subscriptions, bytes.Repeat([]byte{0xff}, 100), kgo.RecordHeader{Key: record.Header, Value: []byte("subscription/1")})
	for _, rec := range all {
		kafkatest.Produce(t, s.kafka, rec)
	}

	before := r.delivered()
	<-u.send(topic.CDRQueue, 200, 1000)
	wait(t, "calls after them", func() bool { return own(r) >= 220 })
	t.Logf("%d requests were made of hostile deliveries", r.delivered()-before-200)
	// What waits is moved on: nothing blocks the delay topic's partition.
	projected(t, s.kafka, s.store)
	again := record.New(topic.Tiers[0].Topic, "last", delivery(func(d *aftercallv1.Delivery) { d.DeliveryId, d.EventId = "dlv_last", "evt_last" }), time.Now())
	kafkatest.Produce(t, s.kafka, again)
	wait(t, "a delivery that waited behind them", func() bool { return r.took("dlv_last") })
}

// own counts the deliveries of upstream's calls.
func own(r *receiver) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for id := range r.taken {
		if !strings.HasPrefix(id, "dlv_hostile") && !strings.HasPrefix(id, "dlv_at") && id != "" && id != "dlv_last" {
			n++
		}
	}
	return n
}

// took says whether a delivery was taken.
func (r *receiver) took(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken[id]
}
