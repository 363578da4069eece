package webhooks

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// Request is a request as a sender would make it, of a sample record. Only what
// is not known before it is made is left out: ids, and the signature.
type Request struct {
	URL     string
	Headers []webhook.Header
	Body    []byte
}

// sampleTime is when the sample's request is made.
var sampleTime = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)

// SampleRequest is what a subscription like this would be sent for a sample of
// its first event type. Secret values of headers are masked.
func SampleRequest(endpoint, format string, events []string, headers []webhook.Header) Request {
	r := Request{URL: webhook.AsSent(endpoint)}
	eventType := topic.TypeQueue
	if len(events) > 0 {
		eventType = events[0]
	}
	sample, ok := cdrschema.Sample(eventType)
	if !ok {
		// One of Aftercall's own events, which have no schema of a CDR.
		sample = []byte(`{}`)
	}
	if format == "" {
		format = subscription.FormatCDR
	}
	body, contentType, err := webhook.Body(format, webhook.Content{
		ID: "evt_…", Type: eventType, CallID: "…", OccurredAt: sampleTime, Attempt: 1, Payload: sample,
	})
	if err != nil {
		body, contentType = sample, "application/json"
	}
	r.Body = body
	m := webhook.Message{
		ID: "evt_…", EventType: eventType, DeliveryID: "dlv_…", Attempt: 1, Cause: "call_ended", Version: telemetry.Version(),
		ContentType: contentType, Time: sampleTime, Secrets: [][]byte{nil}, Body: body,
	}
	if eventType == topic.TypeTest {
		m.Cause, m.Test = "test", true
	}
	if format == subscription.FormatAbp {
		m.AbpSecret = "…"
	}
	named := slices.DeleteFunc(slices.Clone(headers), func(h webhook.Header) bool { return h.Name == "" })
	r.Headers = m.Headers(webhook.Mask(named))
	for i, h := range r.Headers {
		switch h.Name {
		case webhook.HeaderSignature:
			r.Headers[i].Value = "v1,…"
		case webhook.HeaderAbpSignature:
			r.Headers[i].Value = "sha256=…"
		}
	}
	return r
}

// HTTP is the request as it goes over the wire.
func (r Request) HTTP() string {
	path, host := "/", "example.com"
	if u, err := url.Parse(r.URL); err == nil && u.Host != "" {
		host, path = u.Host, u.RequestURI()
	}
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\nhost: " + host + "\n")
	for _, h := range r.Headers {
		b.WriteString(h.Name + ": " + h.Value + "\n")
	}
	b.WriteString("\n")
	b.Write(r.Body)
	return b.String()
}

// Curl is a command that makes the same request, for a shell of Unix.
func (r Request) Curl() string {
	endpoint := r.URL
	if endpoint == "" {
		endpoint = "https://example.com/"
	}
	var b strings.Builder
	b.WriteString("curl -i -X POST " + quoted(endpoint))
	for _, h := range r.Headers {
		b.WriteString(" \\\n  -H " + quoted(h.Name+": "+h.Value))
	}
	b.WriteString(" \\\n  --data-binary " + quoted(string(r.Body)))
	return b.String()
}

// quoted is a text that a shell takes as it is.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
