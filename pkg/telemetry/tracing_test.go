package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/telemetry/telemetrytest"
)

const (
	sampled   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
)

// without clears what the machine's own environment may say.
func without(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
	} {
		t.Setenv(name, "")
	}
}

func TestTracingIsOffUntilOpenTelemetrysVariablesAskForIt(t *testing.T) {
	for name, x := range map[string]struct {
		set map[string]string
		on  bool
		err string
	}{
		"nothing set":            {nil, false, ""},
		"an endpoint":            {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true, ""},
		"an endpoint for traces": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true, ""},
		"the exporter":           {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"switched off":           {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false, ""},
		"no exporter":            {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"another exporter":       {map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER"},
		"another protocol":       {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
	} {
		t.Run(name, func(t *testing.T) {
			without(t)
			for k, v := range x.set {
				t.Setenv(k, v)
			}
			tracer, err := telemetry.NewTracer(t.Context(), "sender", func(error) {})
			if (tracer != nil) != x.on || (err != nil) != (x.err != "") {
				t.Fatalf("%v, %v", tracer, err)
			}
			if err != nil && (!errors.Is(err, telemetry.ErrTracing) || !strings.Contains(err.Error(), x.err)) {
				t.Errorf("%v does not name %s", err, x.err)
			}
			if err := tracer.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSpansGoToTheCollectorAtTheLatestWhenTheProcessEnds(t *testing.T) {
	without(t)
	var got atomic.Value
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(r.URL.Path + string(body))
		w.WriteHeader(http.StatusOK)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tracer, err := telemetry.NewTracer(t.Context(), "sender", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	tracer.Start("POST", telemetry.Client, time.Now(), sampled, "").End(time.Now())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := tracer.Close(ctx); err != nil {
		t.Fatal(err)
	}
	sent, _ := got.Load().(string)
	if !strings.HasPrefix(sent, "/v1/traces") || !strings.Contains(sent, "aftercall-sender") || !strings.Contains(sent, "POST") {
		t.Errorf("the collector got %q", sent)
	}
}

func TestASpanContinuesItsTraceAndLinksToTheFirst(t *testing.T) {
	without(t)
	tracer, spans := telemetrytest.Tracer(t, "sender")
	first := tracer.Start("POST", telemetry.Client, time.Now(), sampled, "")
	second := tracer.Start("POST", telemetry.Client, time.Now(), sampled, first.Traceparent())
	second.Text("server.address", "example.com")
	second.Text("left.out", "")
	second.Number("attempt", 2)
	second.Fail("timeout")
	for _, s := range []telemetry.Span{first, second} {
		s.End(time.Now())
	}
	ended := spans()
	if len(ended) != 2 {
		t.Fatalf("%d spans", len(ended))
	}
	for _, s := range ended {
		if s.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || s.Parent != "00f067aa0ba902b7" || s.Kind != "client" {
			t.Errorf("%+v", s)
		}
	}
	if a, b := ended[0], ended[1]; len(a.Links) != 0 || len(b.Links) != 1 || b.Links[0] != a.ID || first.Traceparent() != a.Traceparent {
		t.Errorf("links %v and %v", a.Links, b.Links)
	}
	if s := ended[1]; s.Error != "timeout" || len(s.Attributes) != 3 || s.Attributes["server.address"] != "example.com" || s.Attributes["attempt"] != "2" {
		t.Errorf("%+v", s)
	}
}

// What was decided upstream is kept: nothing is recorded, and the same
// traceparent goes on.
func TestAnUnsampledTraceStaysUnsampled(t *testing.T) {
	without(t)
	tracer, spans := telemetrytest.Tracer(t, "router")
	s := tracer.Start("x", telemetry.Consumer, time.Now(), unsampled, "")
	if s.Traceparent() != "" {
		t.Errorf("it tells %s", s.Traceparent())
	}
	s.Text("k", "v")
	s.End(time.Now())
	if n := len(spans()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func TestWithoutATracerASpanCostsNothing(t *testing.T) {
	var off *telemetry.Tracer
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		s := off.Start("POST", telemetry.Client, now, sampled, sampled)
		s.Text("server.address", "example.com")
		s.Number("attempt", 2)
		s.Fail("timeout")
		if s.Traceparent() != "" {
			t.Error("it tells something")
		}
		s.End(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
