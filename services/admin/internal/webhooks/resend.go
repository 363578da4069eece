package webhooks

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Resent is a delivery made of an earlier one.
type Resent struct {
	DeliveryID string `json:"delivery_id" doc:"The new delivery. Ask /deliveries/{id} what became of it."`
	EventID    string `json:"event_id"`
	RequestID  string `json:"request_id" doc:"The Idempotency-Key, or the id that was made in its place."`
	// StoppedDeliveryID is the delivery whose retry was stopped.
	StoppedDeliveryID string `json:"stopped_delivery_id,omitempty" doc:"The delivery whose scheduled retry was stopped."`
}

// ResendOptions are choices of a resend.
type ResendOptions struct {
	AsNewEvent  bool `json:"as_new_event,omitempty" doc:"With a webhook-id of its own, for receivers that remember ids and would ignore a known one. The header aftercall-original-id carries the event's."`
	StopWaiting bool `json:"stop_waiting,omitempty" doc:"Stop the retry that this delivery still waits for, once the resend is acknowledged."`
}

// ResendDelivery sends the event of a delivery to its webhook once more: one
// try, with the URL, headers and secret of now. requestID, "" for a fresh one,
// makes repeating it safe: the options of the first request with it count.
func (s *Service) ResendDelivery(ctx context.Context, deliveryID, requestID string, o ResendOptions, by store.Actor) (*Resent, error) {
	d, err := s.Store.Delivery(ctx, deliveryID)
	if err != nil {
		return nil, err
	}
	resent, made, err := s.resend(ctx, d.EventID, d.SubscriptionID, requestID, o, by)
	if made != nil {
		detail := map[string]string{"event": d.EventID, "subscription": d.SubscriptionID}
		if made.GetWebhookId() != "" {
			detail["webhook_id"] = made.GetWebhookId()
		}
		s.audit(context.WithoutCancel(ctx), by, "delivery.resent", resent.DeliveryID, detail)
	}
	if err != nil || !o.StopWaiting || ended(d.State) {
		return resent, err
	}
	// Repeated with the same key, a request that failed here stops it then.
	if err := s.stop(ctx, d, by); err != nil {
		return nil, err
	}
	resent.StoppedDeliveryID = d.DeliveryID
	return resent, nil
}

// ended says that nothing more happens to a delivery in this state.
func ended(state string) bool {
	return state == store.StateDelivered || state == store.StateGivenUp || state == store.StateStopped
}

// StopDelivery ends the retries of one delivery. A request that is under way when
// it is asked for is not called back.
func (s *Service) StopDelivery(ctx context.Context, deliveryID string, by store.Actor) (*store.Delivery, error) {
	d, err := s.Store.Delivery(ctx, deliveryID)
	if err != nil {
		return nil, err
	}
	if ended(d.State) {
		return nil, problem.New(http.StatusConflict, "delivery_ended", "Nothing waits: this delivery has come to its end already.")
	}
	return d, s.stop(ctx, d, by)
}

// stopFor is how long a sender has to remember it: nothing waits longer than the
// maximum age.
const stopFor = 73 * time.Hour

func (s *Service) stop(ctx context.Context, d *store.Delivery, by store.Actor) error {
	now := s.now()
	m := &aftercallv1.StopRetry{DeliveryId: d.DeliveryID, Until: timestamppb.New(now.Add(stopFor)), RequestedBy: by.Name}
	if err := s.produce(ctx, record.New(topic.Subscriptions, record.StopKey(d.DeliveryID), m, now)); err != nil {
		return err
	}
	s.audit(context.WithoutCancel(ctx), by, "delivery.stopped", d.DeliveryID, map[string]string{"event": d.EventID, "subscription": d.SubscriptionID})
	return nil
}

// ResendAttempt is ResendDelivery for the delivery that an attempt belongs to.
func (s *Service) ResendAttempt(ctx context.Context, attemptID, requestID string, o ResendOptions, by store.Actor) (*Resent, error) {
	a, err := s.Store.Attempt(ctx, attemptID)
	if err != nil {
		return nil, err
	}
	return s.ResendDelivery(ctx, a.DeliveryID, requestID, o, by)
}

// resend answers the record too, where it made one: the caller audits it.
func (s *Service) resend(ctx context.Context, eventID, subscriptionID, requestID string, o ResendOptions, by store.Actor) (*Resent, *aftercallv1.Delivery, error) {
	requestID = strings.TrimSpace(requestID)
	if requestID == "" {
		requestID = uuid.Must(uuid.NewV7()).String()
	}
	if len(requestID) > 255 || strings.ContainsFunc(requestID, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return nil, nil, problem.New(http.StatusBadRequest, problem.CodeInvalid, "An Idempotency-Key has 1 to 255 visible ASCII characters.",
			problem.Field{Pointer: "Idempotency-Key", Code: problem.CodeInvalid, Message: "An Idempotency-Key has 1 to 255 visible ASCII characters."})
	}
	answer := &Resent{DeliveryID: cdr.DeliveryID(eventID, subscriptionID, "resend", requestID), EventID: eventID, RequestID: requestID}
	// Two requests with one key at the same moment: the second finds what the
	// first has made.
	defer s.resends.lock(answer.DeliveryID)()
	switch _, err := s.Store.Delivery(ctx, answer.DeliveryID); {
	case err == nil:
		return answer, nil, nil
	case !errors.Is(err, store.ErrNotFound):
		return nil, nil, err
	}
	sub, err := s.live(ctx, subscriptionID)
	if err != nil {
		if problem.From(err).Code == problem.CodeNotFound {
			return nil, nil, problem.New(http.StatusConflict, "subscription_deleted", "The webhook was deleted: there is nothing to send it to.")
		}
		return nil, nil, err
	}
	if !sub.Active {
		return nil, nil, problem.New(http.StatusConflict, "subscription_inactive", "The webhook is not active, so nothing is sent to it. Switch Is Active on first.")
	}
	event, err := s.Store.Event(ctx, eventID)
	if err != nil {
		return nil, nil, err
	}
	payload, err := s.Store.Payload(ctx, eventID)
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	m := &aftercallv1.Delivery{
		DeliveryId:          answer.DeliveryID,
		EventId:             eventID,
		SubscriptionId:      subscriptionID,
		Tenant:              event.Tenant,
		EventType:           event.EventType,
		CallId:              event.CallID,
		Cause:               aftercallv1.Cause_CAUSE_RESEND,
		RequestId:           requestID,
		Attempt:             1,
		OccurredAt:          timestamppb.New(event.OccurredAt),
		FirstQueuedAt:       timestamppb.New(now),
		SubscriptionsOffset: s.Publisher.Offset(),
		Payload:             payload,
		Source:              event.Source,
		Traceparent:         event.Traceparent,
		Position:            &aftercallv1.Position{Topic: event.Position.Topic, Partition: event.Position.Partition, Offset: event.Position.Offset},
		SingleTry:           true,
	}
	if o.AsNewEvent {
		// As unique as the delivery, and the same when a request is repeated.
		m.WebhookId = "evt_" + strings.TrimPrefix(answer.DeliveryID, "dlv_")
	}
	if err := s.produce(ctx, record.New(topic.Deliveries, record.ShardKey(m, sub.MaxConcurrency), m, now)); err != nil {
		return nil, nil, err
	}
	// It is on its way whatever the store says now: the attempt brings the row
	// along if this fails.
	ctx = context.WithoutCancel(ctx)
	if err := s.Store.AddDelivery(ctx, m, by.Name); err != nil {
		s.Logger.Warn("delivery.unstored", zap.String("delivery", m.GetDeliveryId()), zap.Error(err))
	}
	return answer, m, nil
}

// keyed is a lock for each key in use.
type keyed struct {
	mu   sync.Mutex
	held map[string]*heldKey
}

type heldKey struct {
	mu    sync.Mutex
	users int
}

// lock waits for the key and returns what gives it back.
func (k *keyed) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*heldKey{}
	}
	h := k.held[key]
	if h == nil {
		h = &heldKey{}
		k.held[key] = h
	}
	h.users++
	k.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(k.held, key)
		}
	}
}

// audit keeps who did what. A failure is logged: what was done is done.
func (s *Service) audit(ctx context.Context, by store.Actor, action, object string, detail map[string]string) {
	s.enter(ctx, store.AuditEntry{ID: uuid.Must(uuid.NewV7()).String(), At: s.now(), Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: object, Detail: detail})
}

func (s *Service) enter(ctx context.Context, e store.AuditEntry) {
	if err := s.Store.AddAudit(ctx, e); err != nil {
		s.Logger.Warn("audit.unstored", zap.String("action", e.Action), zap.String("object", e.Object), zap.Error(err))
	}
}

// Reveal answers a payload with its personal data, and keeps who asked. It
// answers nothing that could not be audited.
func (s *Service) Reveal(ctx context.Context, eventID string, by store.Actor) ([]byte, error) {
	payload, err := s.Store.Payload(ctx, eventID)
	if err != nil {
		return nil, err
	}
	entry := store.AuditEntry{ID: uuid.Must(uuid.NewV7()).String(), At: s.now(), Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: "payload.revealed", Object: eventID}
	if err := s.Store.AddAudit(ctx, entry); err != nil {
		return nil, err
	}
	return payload, nil
}
