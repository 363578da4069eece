package store

import (
	"context"
	"errors"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

var errNotBuilt = errors.New("not built yet")

// ProjectedOffsets are the next offsets to project, by topic and partition.
func (d *DB) ProjectedOffsets(ctx context.Context) (map[string]map[int32]int64, error) {
	return nil, errNotBuilt
}

func (d *DB) CreateSubscription(ctx context.Context, s *subscription.Subscription, a Actor) error {
	return errNotBuilt
}

// UpdateSubscription: s.Version must be above ifVersion (usually ifVersion+1).
func (d *DB) UpdateSubscription(ctx context.Context, s *subscription.Subscription, ifVersion int64, a Actor) error {
	return errNotBuilt
}

func (d *DB) DeleteSubscription(ctx context.Context, id string, ifVersion int64, a Actor) (*subscription.Subscription, error) {
	return nil, errNotBuilt
}

// RaiseSubscriptionVersion sets a version above the present one without any
// other change, for a publisher that finds a later one in the topic.
func (d *DB) RaiseSubscriptionVersion(ctx context.Context, id string, version int64) (*subscription.Subscription, error) {
	return nil, errNotBuilt
}

func (d *DB) Subscription(ctx context.Context, id string) (*subscription.Subscription, error) {
	return nil, errNotBuilt
}

func (d *DB) Subscriptions(ctx context.Context, q SubscriptionQuery) ([]*subscription.Subscription, error) {
	return nil, errNotBuilt
}

func (d *DB) AddDelivery(ctx context.Context, m *aftercallv1.Delivery, requestedBy string) error {
	return errNotBuilt
}

func (d *DB) Attempts(ctx context.Context, q AttemptQuery) ([]Attempt, string, error) {
	return nil, "", errNotBuilt
}
func (d *DB) Attempt(ctx context.Context, attemptID string) (*AttemptDetail, error) {
	return nil, errNotBuilt
}
func (d *DB) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, string, error) {
	return nil, "", errNotBuilt
}
func (d *DB) Delivery(ctx context.Context, id string) (*Delivery, error) { return nil, errNotBuilt }
func (d *DB) Events(ctx context.Context, q EventQuery) ([]Event, string, error) {
	return nil, "", errNotBuilt
}
func (d *DB) Event(ctx context.Context, id string) (*EventDetail, error) { return nil, errNotBuilt }

// Payload is the CDR byte for byte. ErrPayloadExpired, ErrNotFound.
func (d *DB) Payload(ctx context.Context, eventID string) ([]byte, error) { return nil, errNotBuilt }
func (d *DB) Call(ctx context.Context, callID string) (*Call, error)      { return nil, errNotBuilt }
func (d *DB) Rejections(ctx context.Context, q RejectionQuery) ([]Rejection, string, error) {
	return nil, "", errNotBuilt
}
func (d *DB) SubscriptionStats(ctx context.Context, since time.Time) (map[string]SubscriptionStats, error) {
	return nil, errNotBuilt
}
func (d *DB) Freshness(ctx context.Context) ([]PartitionFreshness, error) { return nil, errNotBuilt }
func (d *DB) EndpointHealth(ctx context.Context) ([]EndpointHealth, error) {
	return nil, errNotBuilt
}

// DisableRequests are those that concern the present version of an active
// subscription.
func (d *DB) DisableRequests(ctx context.Context) ([]DisableRequest, error) { return nil, errNotBuilt }

// CreateToken: ErrExists when the name is taken by a token not revoked.
func (d *DB) CreateToken(ctx context.Context, t Token) error { return errNotBuilt }

// TokenByHash answers ErrNotFound for unknown, revoked and expired ones.
func (d *DB) TokenByHash(ctx context.Context, hash []byte) (*Token, error) { return nil, errNotBuilt }
func (d *DB) Tokens(ctx context.Context) ([]Token, error)                  { return nil, errNotBuilt }
func (d *DB) RevokeToken(ctx context.Context, id string) error             { return errNotBuilt }
func (d *DB) CreateSession(ctx context.Context, s Session) error           { return errNotBuilt }

// SessionByHash answers ErrNotFound for unknown and expired ones.
func (d *DB) SessionByHash(ctx context.Context, hash []byte) (*Session, error) {
	return nil, errNotBuilt
}
func (d *DB) DeleteSession(ctx context.Context, hash []byte) error { return errNotBuilt }
func (d *DB) CreateLoginLink(ctx context.Context, l LoginLink) error {
	return errNotBuilt
}

// UseLoginLink takes the link: a second use, and an expired one, is ErrNotFound.
func (d *DB) UseLoginLink(ctx context.Context, hash []byte) (*LoginLink, error) {
	return nil, errNotBuilt
}
func (d *DB) AddAudit(ctx context.Context, e AuditEntry) error { return errNotBuilt }
func (d *DB) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, string, error) {
	return nil, "", errNotBuilt
}
