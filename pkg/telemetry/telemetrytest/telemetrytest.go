// Package telemetrytest keeps spans in memory, for tests.
package telemetrytest

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aftercall/aftercall/pkg/telemetry"
)

// Span is a span that has ended.
type Span struct {
	Name, Kind string
	// TraceID, ID and Parent are in hexadecimal; Parent is zeros at a root.
	TraceID, ID, Parent string
	// Traceparent is what came after it was told.
	Traceparent string
	// Links are the ids of the spans that it links to.
	Links      []string
	Attributes map[string]string
	// Error is the class of its failure.
	Error string
}

// Tracer returns a tracer, and what answers the spans that have ended so far.
func Tracer(t testing.TB, service string) (*telemetry.Tracer, func() []Span) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	tracer, err := telemetry.NewTracerTo(t.Context(), service, sdktrace.NewSimpleSpanProcessor(exporter))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close(context.Background()) })
	return tracer, func() []Span {
		var spans []Span
		for _, stub := range exporter.GetSpans() {
			c := stub.SpanContext
			s := Span{
				Name: stub.Name, Kind: stub.SpanKind.String(), TraceID: c.TraceID().String(), ID: c.SpanID().String(), Parent: stub.Parent.SpanID().String(),
				Traceparent: "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String(),
				Attributes:  map[string]string{}, Error: stub.Status.Description,
			}
			for _, l := range stub.Links {
				s.Links = append(s.Links, l.SpanContext.SpanID().String())
			}
			for _, a := range stub.Attributes {
				s.Attributes[string(a.Key)] = a.Value.String()
			}
			spans = append(spans, s)
		}
		return spans
	}
}
