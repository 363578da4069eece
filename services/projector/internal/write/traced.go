package write

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/telemetry"
)

// maxSpans of a batch: after an outage thousands of attempts are stored at once,
// and what a trace gains by it is not worth their export.
const maxSpans = 200

// traced are the spans of a batch, one for each of its attempts whose request was
// part of a sampled trace.
type traced struct{ spans []telemetry.Span }

// trace begins them. An attempt that belongs to no trace begins none.
func (s *session) trace(b *store.Batch, at time.Time) *traced {
	t := &traced{}
	if s.c.Tracer == nil {
		return t
	}
	for _, a := range b.Attempts {
		parent := traceparentOf(a)
		if parent == "" {
			continue
		}
		span := s.c.Tracer.Start("history.store", telemetry.Consumer, at, parent, "")
		if span.Traceparent() == "" {
			span.End(at)
			continue
		}
		span.Text("messaging.system", "kafka")
		span.Text("messaging.operation.type", "process")
		span.Text("messaging.destination.name", a.Record.GetTopic())
		span.Number("messaging.destination.partition.id", int64(a.Record.GetPartition()))
		span.Number("messaging.kafka.offset", a.Record.GetOffset())
		span.Number("messaging.batch.message_count", int64(b.Len()))
		span.Number("aftercall.attempt", int64(a.GetAttempt()))
		span.Text("aftercall.event_id", a.GetEventId())
		span.Text("aftercall.delivery_id", a.GetDeliveryId())
		span.Text("aftercall.subscription_id", a.GetSubscriptionId())
		if t.spans = append(t.spans, span); len(t.spans) == maxSpans {
			break
		}
	}
	return t
}

// end ends them, with what became of the batch. One that failed is stored again,
// and then has other spans.
func (t *traced) end(err error, at time.Time) {
	class := ""
	switch {
	case err == nil:
	case errors.Is(err, store.ErrUnstorable):
		class = "unstorable"
	case errors.Is(err, store.ErrOffsetMoved):
		class = "moved"
	case errors.Is(err, context.Canceled):
		class = "abandoned"
	default:
		class = "database"
	}
	for _, span := range t.spans {
		if class != "" {
			span.Fail(class)
		}
		span.End(at)
	}
}

// traceparentOf is what the endpoint was told, which is the span of the attempt's
// own POST where that was traced.
func traceparentOf(a *store.AttemptAt) string {
	for _, h := range a.GetRequestHeaders() {
		if strings.EqualFold(h.GetName(), "traceparent") {
			return h.GetValue()
		}
	}
	return ""
}
