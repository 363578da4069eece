package webhook

import (
	"fmt"
	"strconv"
	"time"
)

// Payload formats. Only FormatCDR is available so far.
const (
	FormatCDR         = "cdr"
	FormatStandard    = "standard"
	FormatCloudEvents = "cloudevents"
	FormatAbp         = "abp"
)

// Body is what is posted: the payload in a subscription's format, and its media
// type. In FormatCDR it is the payload itself, byte for byte, not a copy.
func Body(format string, payload []byte) (body []byte, contentType string, err error) {
	switch format {
	case FormatCDR, "":
		return payload, "application/json", nil
	case FormatStandard, FormatCloudEvents, FormatAbp:
		return nil, "", fmt.Errorf("payload format %s is not available yet", format)
	}
	return nil, "", fmt.Errorf("unknown payload format %q", format)
}

// Message is what the headers of one attempt are made of.
type Message struct {
	// ID is the webhook-id: the same on every attempt.
	ID         string
	EventType  string
	DeliveryID string
	// Attempt counts from 1.
	Attempt int
	// Cause is call_ended, test, resend or replay.
	Cause string
	// Test marks tests and samples.
	Test bool
	// Traceparent is left out when empty.
	Traceparent string
	// Version of Aftercall, for the user agent.
	Version     string
	ContentType string
	// Time of this attempt.
	Time time.Time
	// Secrets that are valid now, raw, the current one first. Without one the
	// request is not signed.
	Secrets [][]byte
	Body    []byte
}

// Headers returns the headers of the attempt followed by the Additional Webhook
// Headers, in the order of sending. Host and content-length are the transport's.
func (m Message) Headers(additional []Header) []Header {
	headers := make([]Header, 0, 12+len(additional))
	add := func(name, value string) { headers = append(headers, Header{Name: name, Value: value}) }
	add("content-type", m.ContentType)
	// An additional user-agent takes the place of ours, not one beside it; so
	// does a traceparent.
	own := map[string]bool{}
	for _, h := range additional {
		own[lower(h.Name)] = true
	}
	if !own["user-agent"] {
		add("user-agent", "Aftercall/"+m.Version)
	}
	add(HeaderID, m.ID)
	add(HeaderTimestamp, strconv.FormatInt(m.Time.Unix(), 10))
	if len(m.Secrets) > 0 {
		add(HeaderSignature, SignAll(m.Secrets, m.ID, m.Time, m.Body))
	}
	add("aftercall-event-type", m.EventType)
	add("aftercall-delivery-id", m.DeliveryID)
	add("aftercall-attempt", strconv.Itoa(m.Attempt))
	add("aftercall-cause", m.Cause)
	if m.Test {
		add("webhook-test", "true")
	}
	if m.Traceparent != "" && !own["traceparent"] {
		add("traceparent", m.Traceparent)
	}
	return append(headers, additional...)
}
