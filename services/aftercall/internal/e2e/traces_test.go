package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// collector keeps what it is sent by OTLP.
type collector struct {
	*httptest.Server
	mu  sync.Mutex
	all bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all.Write(body)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) got(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.all.Bytes(), []byte(text))
}

// That spans belong together is shown in internal/traced; here the programs make
// them, by OpenTelemetry's variables alone.
func TestTheServicesSendTheirSpansToACollector(t *testing.T) {
	const (
		trace = "4bf92f3577b34da6a3ce929d0e0e4736"
		call  = "call-that-no-span-names"
	)
	s := onEmbedded(t)
	c, r := newCollector(t), newReceiver(t, listen.Options{})
	s.subscribe(subscription.Subscription{ID: "sub_traced", Endpoint: r.URL + "/path-that-no-span-names"})
	traces := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_EXPORTER_OTLP_COMPRESSION=none", "OTEL_BSP_SCHEDULE_DELAY=50"}
	s.start("router", traces...)
	s.start("sender", append(traces, open...)...)
	kafkatest.Produce(t, s.kafka, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"`+call+`"}`, cdr.HeaderTraceparent, "00-"+trace+"-00f067aa0ba902b7-01"))

	wait(t, "the request", func() bool { return r.delivered() == 1 })
	wait(t, "the spans of both", func() bool {
		return c.got("aftercall-router") && c.got("process "+topic.CDRQueue) && c.got("aftercall-sender") && c.got("POST")
	})
	told := r.log()[0].Headers.Get("Traceparent")
	if !strings.HasPrefix(told, "00-"+trace+"-") || strings.Contains(told, "00f067aa0ba902b7") {
		t.Errorf("the endpoint was told %s", told)
	}
	for _, never := range []string{call, "no-span-names", signingSecret} {
		if c.got(never) {
			t.Errorf("a span holds %q", never)
		}
	}
}
