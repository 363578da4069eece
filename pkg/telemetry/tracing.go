package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// ErrTracing says that the OTEL_* variables ask for what is not there.
var ErrTracing = errors.New("tracing")

// Tracer begins spans. A nil one begins none and costs nothing.
type Tracer struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
}

// NewTracer returns a tracer that exports by OTLP where the OTEL_* variables of
// OpenTelemetry say so: OTEL_TRACES_EXPORTER=otlp, or an endpoint. Otherwise it is
// nil. Exporting goes on beside the work and never holds it up; failed is told
// what became of it.
func NewTracer(ctx context.Context, service string, failed func(error)) (*Tracer, error) {
	wanted, err := tracingWanted()
	if !wanted || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: making the exporter: %w", ErrTracing, err)
	}
	t, err := NewTracerTo(ctx, service, sdktrace.NewBatchSpanProcessor(exporter))
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failed))
	return t, nil
}

// NewTracerTo returns a tracer whose spans go to a processor.
func NewTracerTo(ctx context.Context, service string, to sdktrace.SpanProcessor) (*Tracer, error) {
	// What the environment says of the resource comes last and wins.
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "aftercall-"+service), attribute.String("service.version", Version())),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", ErrTracing, err)
	}
	// Its sampler is that of OTEL_TRACES_SAMPLER.
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(described), sdktrace.WithSpanProcessor(to))
	return &Tracer{tracer: provider.Tracer("github.com/aftercall/aftercall"), provider: provider}, nil
}

func tracingWanted() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); {
	case exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("%w: OTEL_TRACES_EXPORTER is %q; otlp and none are there", ErrTracing, exporter)
	}
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return false, fmt.Errorf("%w: OTEL_EXPORTER_OTLP_PROTOCOL is %q; http/protobuf is there (port 4318 of a collector)", ErrTracing, protocol)
	}
	return true, nil
}

// Close exports what is left, as long as ctx lasts.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last spans: %w", err)
	}
	return nil
}

// Kind says what a span is to the others of its trace.
type Kind int

// Kinds.
const (
	// Consumer handles a record.
	Consumer Kind = iota
	// Client makes a request.
	Client
)

// Span is one piece of work, or nothing where no tracer looks. Attributes hold
// no personal data, no payload and no URL.
type Span struct{ span trace.Span }

// Start begins a span. parent and linked are traceparents of W3C Trace Context,
// or empty.
func (t *Tracer) Start(name string, kind Kind, at time.Time, parent, linked string) Span {
	if t == nil {
		return Span{}
	}
	kinds := [...]trace.SpanKind{Consumer: trace.SpanKindConsumer, Client: trace.SpanKindClient}
	options := []trace.SpanStartOption{trace.WithSpanKind(kinds[kind]), trace.WithTimestamp(at)}
	if first := trace.SpanContextFromContext(contextOf(linked)); first.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: first}))
	}
	_, span := t.tracer.Start(contextOf(parent), name, options...)
	return Span{span}
}

func contextOf(traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
}

// Traceparent is what those that come after the span are to be told, empty where
// it is not recorded: then they are told what the span itself was.
func (s Span) Traceparent() string {
	if !s.recorded() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), s.span.SpanContext()), carrier)
	return carrier.Get("traceparent")
}

func (s Span) recorded() bool { return s.span != nil && s.span.SpanContext().IsSampled() }

// Text says something about the span.
func (s Span) Text(key, value string) {
	if s.recorded() && value != "" {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// Number says something about the span in figures.
func (s Span) Number(key string, value int64) {
	if s.recorded() {
		s.span.SetAttributes(attribute.Int64(key, value))
	}
}

// Fail says that the work failed, and of what kind the failure is; in words it
// could name what must not be named.
func (s Span) Fail(class string) {
	if s.recorded() {
		s.span.SetStatus(codes.Error, class)
		s.span.SetAttributes(attribute.String("error.type", class))
	}
}

// End ends the span.
func (s Span) End(at time.Time) {
	if s.span != nil {
		s.span.End(trace.WithTimestamp(at))
	}
}
