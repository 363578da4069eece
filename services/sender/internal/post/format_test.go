package post

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// received is a transport that keeps the request and answers 204.
type received struct {
	header http.Header
	body   []byte
}

func (r *received) RoundTrip(request *http.Request) (*http.Response, error) {
	r.header = request.Header
	var err error
	if r.body, err = io.ReadAll(request.Body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}

func (r *received) value(name string) string { return r.header.Get(name) }

func (r *received) verifies(t *testing.T, secret string) bool {
	t.Helper()
	raw, err := webhook.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Verify(raw, r.value("webhook-id"), r.value("webhook-timestamp"), r.value("webhook-signature"), r.body, time.Now()) == nil
}

var occurred = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func delivery(attempt int32) *aftercallv1.Delivery {
	return &aftercallv1.Delivery{EventId: "evt_1", DeliveryId: "dlv_1", EventType: "App.QueueWebhook", Source: "pbx", CallId: "1",
		Attempt: attempt, OccurredAt: timestamppb.New(occurred), Payload: []byte(`{"CallId": "1"}`)}
}

func post(t *testing.T, p *Poster, d *aftercallv1.Delivery, sub *subscription.Subscription) *Report {
	t.Helper()
	r, err := p.Post(context.Background(), d, sub)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != http.StatusNoContent {
		t.Fatalf("status %d: %s", r.Status, r.Error)
	}
	return r
}

func TestDuringARotationEitherSecretVerifiesAndAfterItOnlyTheNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, current := webhook.NewSecret(rand.Reader), webhook.NewSecret(rand.Reader)
		var endpoint received
		p := New(&endpoint, open{}, "test")
		sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: "https://example.com/", SealedSecret: []byte(old)}
		post(t, p, delivery(1), sub)
		if !endpoint.verifies(t, old) || endpoint.verifies(t, current) {
			t.Fatal("before the rotation: the old secret alone signs")
		}

		rotated := *sub
		rotated.Version, rotated.SealedSecret, rotated.SealedPreviousSecret = 2, []byte(current), []byte(old)
		rotated.PreviousSecretUntil = time.Now().Add(24 * time.Hour)
		for range 24 {
			post(t, p, delivery(1), &rotated)
			if !endpoint.verifies(t, old) || !endpoint.verifies(t, current) {
				t.Fatalf("%s before the end: one of the secrets does not verify", time.Until(rotated.PreviousSecretUntil))
			}
			time.Sleep(time.Hour - time.Millisecond)
		}
		time.Sleep(time.Until(rotated.PreviousSecretUntil))
		post(t, p, delivery(1), &rotated)
		if endpoint.verifies(t, old) || !endpoint.verifies(t, current) {
			t.Error("after it the old secret still signs, or the new one does not")
		}
	})
}

func TestEachFormatGoesOutUnderItsMediaTypeAndStandardWebhooksHeaders(t *testing.T) {
	signing, abp := webhook.NewSecret(rand.Reader), webhook.NewAbpSecret(rand.Reader)
	for format, contentType := range map[string]string{
		"": "application/json", webhook.FormatCDR: "application/json", webhook.FormatStandard: "application/json",
		webhook.FormatCloudEvents: "application/cloudevents+json", webhook.FormatAbp: "application/json",
	} {
		var endpoint received
		p := New(&endpoint, open{}, "test")
		sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: "https://example.com/", Format: format,
			SealedSecret: []byte(signing), SealedAbpSecret: []byte(abp)}
		post(t, p, delivery(3), sub)
		if got := endpoint.value("content-type"); got != contentType {
			t.Errorf("%s: content type %s", format, got)
		}
		if !endpoint.verifies(t, signing) {
			t.Errorf("%s: webhook-signature does not verify", format)
		}
		signature := endpoint.value(webhook.HeaderAbpSignature)
		if (signature != "") != (format == webhook.FormatAbp) {
			t.Errorf("%s: %s is %q", format, webhook.HeaderAbpSignature, signature)
		}
		if format == webhook.FormatAbp {
			if err := webhook.VerifyAbp(abp, signature, endpoint.body); err != nil {
				t.Error(err)
			}
			var body struct {
				ID      string `json:"Id"`
				Attempt int
			}
			if err := json.Unmarshal(endpoint.body, &body); err != nil || body.ID != "evt_1" || body.Attempt != 3 {
				t.Errorf("%v: %s", err, endpoint.body)
			}
		}
	}
}

func TestANewEventIdStandsInTheBodyToo(t *testing.T) {
	var endpoint received
	p := New(&endpoint, open{}, "test")
	d := delivery(1)
	d.WebhookId = "evt_again"
	for _, format := range []string{webhook.FormatCloudEvents, webhook.FormatAbp} {
		post(t, p, d, &subscription.Subscription{ID: format, Version: 1, Endpoint: "https://example.com/", Format: format})
		if endpoint.value("webhook-id") != "evt_again" || !strings.Contains(string(endpoint.body), `"evt_again"`) {
			t.Errorf("%s: %s", format, endpoint.body)
		}
	}
}

func TestAnAbpSecretThatDoesNotOpenIsAFaultOfTheKey(t *testing.T) {
	sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: "https://example.com/", Format: webhook.FormatAbp, SealedAbpSecret: []byte{1}}
	if err := New(&received{}, closed{}, "test").Prepare(sub); err == nil || !strings.Contains(err.Error(), "abp_secret") {
		t.Errorf("%v", err)
	}
	// One that is not used does not stand in the way.
	sub.Format = webhook.FormatCDR
	if err := New(&received{}, closed{}, "test").Prepare(sub); err != nil {
		t.Error(err)
	}
}

// closed is an opener without the right key.
type closed struct{}

func (closed) Unseal(string, string, []byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
