package webhook

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Message is what the headers of one attempt are made of.
type Message struct {
	// ID is the webhook-id: the same on every attempt.
	ID string
	// OriginalID is the event's id where ID is another one: "as a new event".
	OriginalID string
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
	// AbpSecret, in FormatAbp, signs the way ASP.NET Boilerplate does, beside
	// Secrets. Empty in every other format.
	AbpSecret string
	Body      []byte
}

// Headers returns the headers of the attempt followed by the Additional Webhook
// Headers, in the order of sending. Host and content-length are the transport's.
func (m Message) Headers(additional []Header) []Header {
	headers := make([]Header, 0, 14+len(additional))
	add := func(name, value string) { headers = append(headers, Header{Name: name, Value: value}) }
	add("content-type", m.ContentType)
	// An additional user-agent takes the place of ours, not one beside it; so
	// does a traceparent.
	has := func(name string) bool {
		return slices.ContainsFunc(additional, func(h Header) bool { return strings.EqualFold(h.Name, name) })
	}
	if !has("user-agent") {
		add("user-agent", "Aftercall/"+m.Version)
	}
	add(HeaderID, m.ID)
	add(HeaderTimestamp, strconv.FormatInt(m.Time.Unix(), 10))
	if len(m.Secrets) > 0 {
		add(HeaderSignature, SignAll(m.Secrets, m.ID, m.Time, m.Body))
	}
	if m.AbpSecret != "" {
		add(HeaderAbpSignature, SignAbp(m.AbpSecret, m.Body))
	}
	add("aftercall-event-type", m.EventType)
	add("aftercall-delivery-id", m.DeliveryID)
	add("aftercall-attempt", strconv.Itoa(m.Attempt))
	add("aftercall-cause", m.Cause)
	if m.OriginalID != "" {
		add("aftercall-original-id", m.OriginalID)
	}
	if m.Test {
		add("webhook-test", "true")
	}
	if m.Traceparent != "" && !has("traceparent") {
		add("traceparent", m.Traceparent)
	}
	return append(headers, additional...)
}
