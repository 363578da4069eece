package transact

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

// traced are the spans of a batch, one for each CDR whose trace is sampled.
type traced struct {
	tracer *telemetry.Tracer
	spans  []telemetry.Span
}

// begin begins the span of a CDR, in the trace of its producer or in one of its
// own. What the CDR becomes goes on in it.
func (t *traced) begin(in *kgo.Record, o *route.Outcome, at time.Time) {
	if t.tracer == nil || o.Event == nil {
		return
	}
	span := t.tracer.Start("process "+in.Topic, telemetry.Consumer, at, o.Event.GetTraceparent(), "")
	context := span.Traceparent()
	if context == "" {
		span.End(at)
		return
	}
	for _, d := range o.Deliveries {
		d.Traceparent = context
	}
	span.Text("messaging.system", "kafka")
	span.Text("messaging.operation.type", "process")
	span.Text("messaging.destination.name", in.Topic)
	span.Number("messaging.destination.partition.id", int64(in.Partition))
	span.Number("messaging.kafka.offset", in.Offset)
	span.Text("aftercall.event_id", o.Event.GetEventId())
	span.Text("aftercall.event_type", o.Event.GetEventType())
	span.Number("aftercall.deliveries", int64(len(o.Deliveries)))
	if o.Event.GetDuplicateOf() != nil {
		span.Text("aftercall.outcome", outcomeDuplicate)
	}
	t.spans = append(t.spans, span)
}

// end ends them: a batch that was not committed is routed again, and then has
// other spans.
func (t *traced) end(committed bool, at time.Time) {
	for _, span := range t.spans {
		if !committed {
			span.Fail("aborted")
		}
		span.End(at)
	}
}
