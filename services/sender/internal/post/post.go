// Package post makes one request: it signs a delivery for a subscription, POSTs
// it once, and says in full what was sent and what came back.
//
// It guarantees that every call ends within the subscription's time-out and five
// seconds, that no more than 16 KiB of an answer are kept, that redirects are
// never followed, and that what it reports holds no secret. It never repeats a
// request: waiting is the delay topics' work.
package post

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-retryablehttp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

const (
	// MaxBody is how much of an answer's body is kept.
	MaxBody = 16 << 10
	// afterHeader is how long reading the body may take beyond the time-out for
	// the header.
	afterHeader = 5 * time.Second
)

// Opener opens sealed values.
type Opener interface {
	Unseal(subscriptionID, field string, sealed []byte) ([]byte, error)
}

// Poster makes requests. It is safe for concurrent use.
type Poster struct {
	// Tracer makes a span of each request, nil none. Set it before the first one.
	Tracer *telemetry.Tracer

	client  *retryablehttp.Client
	opener  Opener
	version string
	// ready are subscription id → *prepared, nil of one that is deleted.
	ready sync.Map
}

// New returns a poster on a transport that connects only where it may.
func New(transport http.RoundTripper, opener Opener, version string) *Poster {
	client := retryablehttp.NewClient()
	client.HTTPClient = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// One call is one try: each try is an attempt in the history.
	client.RetryMax = 0
	client.CheckRetry = func(context.Context, *http.Response, error) (bool, error) { return false, nil }
	client.Logger = nil
	return &Poster{client: client, opener: opener, version: version}
}

// prepared is what a version of a subscription adds to its requests.
type prepared struct {
	version    int64
	additional []webhook.Header
	current    []byte
	previous   []byte
	until      time.Time
	// abp signs in the payload format abp.
	abp string
}

// ErrKey says that a subscription's secrets cannot be opened with our keyset.
var ErrKey = errors.New("the keyset does not open the subscription's secrets")

// Prepare opens what a subscription's requests need. An error wraps ErrKey.
func (p *Poster) Prepare(sub *subscription.Subscription) error {
	_, err := p.prepare(sub)
	return err
}

func (p *Poster) prepare(sub *subscription.Subscription) (*prepared, error) {
	known, met := p.ready.Load(sub.ID)
	if have, _ := known.(*prepared); have != nil && have.version == sub.Version {
		return have, nil
	}
	pr := &prepared{version: sub.Version, until: sub.PreviousSecretUntil}
	for _, h := range sub.Headers {
		value := h.Value
		if h.Secret {
			plain, err := p.opener.Unseal(sub.ID, secret.HeaderField(h.Name), h.Sealed)
			if err != nil {
				return nil, fmt.Errorf("%w: opening header %s: %w", ErrKey, h.Name, err)
			}
			value = string(plain)
		}
		pr.additional = append(pr.additional, webhook.Header{Name: h.Name, Value: value, Secret: h.Secret})
	}
	var err error
	if pr.current, err = p.secret(sub.ID, secret.FieldSecret, sub.SealedSecret); err != nil {
		return nil, err
	}
	if pr.previous, err = p.secret(sub.ID, secret.FieldPreviousSecret, sub.SealedPreviousSecret); err != nil {
		return nil, err
	}
	if sub.Format == webhook.FormatAbp {
		plain, err := p.open(sub.ID, secret.FieldAbpSecret, sub.SealedAbpSecret)
		if err != nil {
			return nil, err
		}
		pr.abp = string(plain)
	}
	switch {
	case !met:
		p.ready.LoadOrStore(sub.ID, pr)
	case known != (*prepared)(nil):
		p.ready.CompareAndSwap(sub.ID, known, pr)
	}
	return pr, nil
}

// Forget drops what was opened for a subscription that is deleted. A request that is
// being prepared meanwhile keeps nothing of it either.
func (p *Poster) Forget(subscriptionID string) { p.ready.Store(subscriptionID, (*prepared)(nil)) }

func (p *Poster) secret(id, field string, sealed []byte) ([]byte, error) {
	plain, err := p.open(id, field, sealed)
	if err != nil || plain == nil {
		return nil, err
	}
	raw, err := webhook.ParseSecret(string(plain))
	if err != nil {
		return nil, fmt.Errorf("%w: reading %s: %w", ErrKey, field, err)
	}
	return raw, nil
}

// open opens a sealed value, nil where there is none.
func (p *Poster) open(id, field string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	plain, err := p.opener.Unseal(id, field, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: opening %s: %w", ErrKey, field, err)
	}
	return plain, nil
}

func (pr *prepared) secrets(now time.Time) [][]byte {
	secrets := make([][]byte, 0, 2)
	if pr.current != nil {
		secrets = append(secrets, pr.current)
	}
	if pr.previous != nil && now.Before(pr.until) {
		secrets = append(secrets, pr.previous)
	}
	return secrets
}

// Report is what was sent and what came back.
type Report struct {
	outcome.Answer
	StartedAt     time.Time
	Timings       *aftercallv1.Timings
	RemoteAddress string
	URL           string
	WebhookID     string
	Request       []*aftercallv1.HttpHeader
	RequestBytes  int
	Response      []*aftercallv1.HttpHeader
	Body          []byte
	Truncated     bool
	// Took is how long it took in all.
	Took time.Duration
	// Traceparent is that of the request's span, empty without one.
	Traceparent string
}

// Post makes one request. The error is ErrKey, a body that cannot be made, or
// the context's when it ended: then there is no outcome. Everything else that
// can happen to a request is in the report.
func (p *Poster) Post(ctx context.Context, d *aftercallv1.Delivery, sub *subscription.Subscription) (*Report, error) {
	pr, err := p.prepare(sub)
	if err != nil {
		return nil, err
	}
	body, contentType, err := webhook.Body(sub.Format, webhook.Content{
		ID:         webhookID(d),
		Type:       d.GetEventType(),
		Source:     d.GetSource(),
		CallID:     d.GetCallId(),
		OccurredAt: d.GetOccurredAt().AsTime(),
		Attempt:    int(d.GetAttempt()),
		Payload:    d.GetPayload(),
	})
	if err != nil {
		return nil, fmt.Errorf("rendering the body: %w", err)
	}
	started := time.Now()
	span := p.Tracer.Start(http.MethodPost, telemetry.Client, started, d.GetTraceparent(), d.GetFirstAttemptTraceparent())
	message := webhook.Message{
		ID:          webhookID(d),
		EventType:   d.GetEventType(),
		DeliveryID:  d.GetDeliveryId(),
		Attempt:     int(d.GetAttempt()),
		Cause:       CauseName(d.GetCause()),
		Test:        d.GetCause() == aftercallv1.Cause_CAUSE_TEST,
		Traceparent: d.GetTraceparent(),
		Version:     p.version,
		ContentType: contentType,
		Time:        started,
		Secrets:     pr.secrets(started),
		AbpSecret:   pr.abp,
		Body:        body,
	}
	if message.ID != d.GetEventId() {
		message.OriginalID = d.GetEventId()
	}
	traceparent := span.Traceparent()
	if traceparent != "" {
		message.Traceparent = traceparent
	}
	headers := message.Headers(pr.additional)
	report := &Report{
		StartedAt: started, URL: webhook.AsSent(sub.Endpoint), WebhookID: message.ID,
		Request: wire(webhook.Mask(headers)), RequestBytes: len(body), Traceparent: traceparent,
	}
	defer func() { report.trace(span, d, time.Now()) }()

	watch := newStopwatch(ctx, timeoutOf(sub))
	defer watch.stop()
	request, err := retryablehttp.NewRequestWithContext(httptrace.WithClientTrace(watch.ctx, watch.trace()), http.MethodPost, report.URL, body)
	if err != nil {
		// The URL was valid when it was saved; a build with other rules saved it.
		report.Answer = outcome.Answer{Class: aftercallv1.Attempt_ERROR_CLASS_PROTOCOL, Error: "The endpoint is not a URL that a request can be made to."}
		report.Timings = &aftercallv1.Timings{Total: durationpb.New(0)}
		return report, nil
	}
	request.Header = toHeader(headers)

	response, err := p.client.Do(request)
	watch.answered()
	if err != nil {
		report.Answer = watch.classify(err)
		report.finish(watch)
		return report, ctx.Err()
	}
	report.receive(response, watch)
	report.finish(watch)
	return report, nil
}

// receive reads an answer. Its header decides: what goes wrong with the body
// after a 2xx does not undo it.
func (r *Report) receive(response *http.Response, watch *stopwatch) {
	r.Status = response.StatusCode
	r.RetryAfter = response.Header.Get("Retry-After")
	r.Response = fromHeader(response.Header)
	if r.Status != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
		if len(body) > MaxBody {
			body, r.Truncated = body[:MaxBody:MaxBody], true
		}
		r.Truncated = r.Truncated || err != nil
		r.Body = body
	}
	// Closing an unread rest closes the connection: nobody has to swallow 10 GiB.
	_ = response.Body.Close()
	if r.Status >= 200 && r.Status <= 299 {
		return
	}
	if r.Status == 0 {
		r.Class, r.Error = aftercallv1.Attempt_ERROR_CLASS_PROTOCOL, "The answer is not valid HTTP: its status is 000."
		return
	}
	r.Class = aftercallv1.Attempt_ERROR_CLASS_STATUS
	r.Error = statusText(r.Status, response.Header)
}

func (r *Report) finish(watch *stopwatch) {
	r.Timings, r.RemoteAddress, r.Took = watch.read()
}

func statusText(status int, header http.Header) string {
	text := http.StatusText(status)
	if text != "" {
		text = " " + text
	}
	out := fmt.Sprintf("The endpoint answered %d%s.", status, text)
	if location := header.Get("Location"); location != "" && status >= 300 && status <= 399 {
		out += " Redirects are not followed; it points to " + printable(location, 2048)
	}
	return out
}

func timeoutOf(sub *subscription.Subscription) time.Duration {
	if sub.Timeout <= 0 {
		return subscription.DefaultTimeout
	}
	return min(max(sub.Timeout, subscription.MinTimeout), subscription.MaxTimeout)
}

func webhookID(d *aftercallv1.Delivery) string {
	if d.GetWebhookId() != "" {
		return d.GetWebhookId()
	}
	return d.GetEventId()
}

// CauseName is a cause as it stands in headers, in the API and in SQL.
func CauseName(c aftercallv1.Cause) string {
	switch c {
	case aftercallv1.Cause_CAUSE_TEST:
		return "test"
	case aftercallv1.Cause_CAUSE_RESEND:
		return "resend"
	case aftercallv1.Cause_CAUSE_REPLAY:
		return "replay"
	}
	return "call_ended"
}

func wire(headers []webhook.Header) []*aftercallv1.HttpHeader {
	out := make([]*aftercallv1.HttpHeader, len(headers))
	backing := make([]aftercallv1.HttpHeader, len(headers))
	for i, h := range headers {
		backing[i].Name, backing[i].Value = h.Name, h.Value
		out[i] = &backing[i]
	}
	return out
}

// toHeader is what http.Header.Add makes of the headers, without an allocation
// for each name and each value.
func toHeader(headers []webhook.Header) http.Header {
	out := make(http.Header, len(headers))
	values := make([]string, len(headers))
	for i, h := range headers {
		name, known := canonical[h.Name]
		if !known {
			name = http.CanonicalHeaderKey(h.Name)
		}
		if old, repeated := out[name]; repeated {
			out[name] = append(old, h.Value)
			continue
		}
		values[i] = h.Value
		out[name] = values[i : i+1 : i+1]
	}
	return out
}

// canonical are the names that net/http would make of ours on every request.
var canonical = func() map[string]string {
	out := map[string]string{}
	for _, h := range (webhook.Message{Secrets: [][]byte{nil}, AbpSecret: "-", OriginalID: "-", Test: true, Traceparent: "-"}).Headers(nil) {
		out[h.Name] = http.CanonicalHeaderKey(h.Name)
	}
	return out
}()

func fromHeader(header http.Header) []*aftercallv1.HttpHeader {
	out := make([]*aftercallv1.HttpHeader, 0, len(header))
	for name, values := range header {
		for _, v := range values {
			out = append(out, &aftercallv1.HttpHeader{Name: strings.ToLower(name), Value: printable(v, MaxBody)})
		}
	}
	slices.SortStableFunc(out, func(a, b *aftercallv1.HttpHeader) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// printable makes text of what an endpoint sent: valid UTF-8, not too long.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
