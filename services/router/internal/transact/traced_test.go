package transact

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/telemetry/telemetrytest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

func TestTheSpansOfAnAbortedBatchSaySo(t *testing.T) {
	tracer, ended := telemetrytest.Tracer(t, "router")
	o := route.Outcome{Event: &aftercallv1.Event{EventId: "evt_1"}, Deliveries: []*aftercallv1.Delivery{{}}}
	for _, committed := range []bool{false, true} {
		spans := traced{tracer: tracer}
		spans.begin(&kgo.Record{Topic: topic.CDRQueue}, &o, time.Now())
		spans.begin(&kgo.Record{Topic: topic.CDRQueue}, &route.Outcome{Rejection: &aftercallv1.Rejection{}}, time.Now())
		spans.end(committed, time.Now())
	}
	spans := ended()
	if len(spans) != 2 || spans[0].Error != "aborted" || spans[1].Error != "" {
		t.Fatalf("%+v", spans)
	}
	// Routed again, the deliveries belong to the span that was committed; without a
	// producer's trace it is one of its own.
	if got := o.Deliveries[0].GetTraceparent(); got != spans[1].Traceparent || spans[1].Parent != "0000000000000000" {
		t.Errorf("the delivery is told %s", got)
	}
}

func TestWithoutATracerRoutingAllocatesNothingMore(t *testing.T) {
	in, o := &kgo.Record{Topic: topic.CDRQueue}, &route.Outcome{Event: &aftercallv1.Event{Traceparent: "00-"}, Deliveries: []*aftercallv1.Delivery{{}}}
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		spans := traced{}
		spans.begin(in, o, now)
		spans.end(true, now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
