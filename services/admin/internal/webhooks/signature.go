package webhooks

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// SignatureCheck is what the signature of a request that was made is worth to a
// receiver who checks it now. It holds no secret.
type SignatureCheck struct {
	// Present and Previous say which of the webhook's secrets it verifies under.
	// Previous counts during a rotation only.
	Present, Previous bool
	// PreviousUntil is when the rotation ends, zero when there is none.
	PreviousUntil time.Time
	// Abp says that the signature of the payload format abp verifies too.
	Abp bool
	// Why it cannot be checked, a sentence; empty when it was.
	Why string
}

// CheckSignature verifies a request as it was sent against the webhook's secrets
// of now: the body is made again from the stored record, and what was signed is
// compared, whatever its age: the five minutes that receivers allow are over.
func (s *Service) CheckSignature(ctx context.Context, a *store.AttemptDetail) (*SignatureCheck, error) {
	out := &SignatureCheck{}
	signature := SentHeader(a, webhook.HeaderSignature)
	if signature == "" {
		out.Why = "The request carried no " + webhook.HeaderSignature + " header."
		return out, nil
	}
	bodies, why, err := s.sentBodies(ctx, a)
	if err != nil || why != "" {
		out.Why = why
		return out, err
	}
	sub, err := s.Store.Subscription(ctx, a.SubscriptionID)
	if errors.Is(err, store.ErrNotFound) {
		out.Why = "The webhook is deleted, and its secrets with it."
		return out, nil
	} else if err != nil {
		return nil, err
	}
	keys, err := s.signingKeys(sub)
	if err != nil {
		out.Why = "The webhook's secret cannot be opened with this server's keyset."
		return out, nil //nolint:nilerr // it is what is answered
	}
	id, timestamp := SentHeader(a, webhook.HeaderID), SentHeader(a, webhook.HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		out.Why = "Its " + webhook.HeaderTimestamp + " header is not a number of seconds."
		return out, nil //nolint:nilerr // it is what is answered
	}
	then := time.Unix(seconds, 0)
	abp := SentHeader(a, webhook.HeaderAbpSignature)
	out.PreviousUntil = keys.until
	for _, body := range bodies {
		verifies := func(key []byte) bool {
			return key != nil && webhook.Verify(key, id, timestamp, signature, body, then) == nil
		}
		out.Present = out.Present || verifies(keys.present)
		out.Previous = out.Previous || verifies(keys.previous)
		out.Abp = out.Abp || keys.abp != "" && webhook.VerifyAbp(keys.abp, abp, body) == nil
	}
	return out, nil
}

// SentHeader is a header of the request as it was sent, "" when it had none.
func SentHeader(a *store.AttemptDetail, name string) string {
	for _, h := range a.RequestHeaders {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// sentBodies are the bodies that the request can have had: the stored record in
// each payload format, as the webhook may have another one by now. why says that
// there is none.
func (s *Service) sentBodies(ctx context.Context, a *store.AttemptDetail) (bodies [][]byte, why string, err error) {
	payload, err := s.Store.Payload(ctx, a.EventID)
	if err != nil {
		if p := problem.From(err); p.Status == http.StatusGone || p.Status == http.StatusNotFound {
			return nil, "Its body is not kept any more. " + p.Detail, nil
		}
		return nil, "", err
	}
	event, err := s.Store.Event(ctx, a.EventID)
	if err != nil {
		return nil, "", err
	}
	for _, format := range webhook.Formats() {
		body, _, err := webhook.Body(format, webhook.Content{
			ID: SentHeader(a, webhook.HeaderID), Type: a.EventType, Source: event.Source, CallID: a.CallID, OccurredAt: a.OccurredAt,
			Attempt: int(a.Attempt.Attempt), Payload: payload,
		})
		if err != nil {
			return nil, "", err
		}
		if len(body) == int(a.RequestBytes) {
			bodies = append(bodies, body)
		}
	}
	if len(bodies) == 0 {
		return nil, "Its body cannot be made again from the stored record: another build of the sender wrote it differently.", nil
	}
	return bodies, "", nil
}

// signingKeys are a webhook's secrets, opened.
type signingKeys struct {
	present, previous []byte
	until             time.Time
	abp               string
}

func (s *Service) signingKeys(sub *subscription.Subscription) (*signingKeys, error) {
	open := func(field string, sealed []byte) ([]byte, error) {
		if len(sealed) == 0 {
			return nil, nil
		}
		plain, err := s.Sealer.Unseal(sub.ID, field, sealed)
		if err != nil || field == secret.FieldAbpSecret {
			return plain, err
		}
		return webhook.ParseSecret(string(plain))
	}
	out := &signingKeys{}
	var err error
	if out.present, err = open(secret.FieldSecret, sub.SealedSecret); err != nil {
		return nil, err
	}
	if len(sub.SealedPreviousSecret) > 0 && s.now().Before(sub.PreviousSecretUntil) {
		out.until = sub.PreviousSecretUntil
		if out.previous, err = open(secret.FieldPreviousSecret, sub.SealedPreviousSecret); err != nil {
			return nil, err
		}
	}
	abp, err := open(secret.FieldAbpSecret, sub.SealedAbpSecret)
	out.abp = string(abp)
	return out, err
}
