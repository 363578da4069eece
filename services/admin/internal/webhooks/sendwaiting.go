package webhooks

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Releaser carries out "send waiting now".
type Releaser interface {
	// Kick makes it look at once for what is new.
	Kick()
}

// SendWaiting is "send waiting now", as the API answers it.
type SendWaiting struct {
	ID             string    `json:"id"`
	SubscriptionID string    `json:"subscription_id"`
	State          string    `json:"state" enum:"running,cancelling,done,cancelled"`
	RequestedBy    string    `json:"requested_by"`
	CreatedAt      wire.Time `json:"created_at"`
	UpdatedAt      wire.Time `json:"updated_at"`
	Sent           int64     `json:"sent" doc:"Deliveries sent again so far."`
	Scanned        int64     `json:"scanned" doc:"Waiting records looked at so far, those of other subscriptions included."`
	Total          int64     `json:"total" doc:"Waiting records to look at; 0 until that is known."`
	Fault          string    `json:"fault,omitempty" doc:"What went wrong last; it is tried again."`
}

// ViewSendWaiting is w as it is answered.
func ViewSendWaiting(w *store.SendWaiting) SendWaiting {
	return SendWaiting{ID: w.ID, SubscriptionID: w.SubscriptionID, State: w.State, RequestedBy: w.RequestedBy, CreatedAt: wire.At(w.CreatedAt), UpdatedAt: wire.At(w.UpdatedAt),
		Sent: w.Sent, Scanned: w.Scanned, Total: w.Total, Fault: w.Fault}
}

// SendWaiting sends everything that waits for a webhook now, at a pace. Asked for
// while one is running, it answers that one.
func (s *Service) SendWaiting(ctx context.Context, id string, by store.Actor) (*store.SendWaiting, error) {
	sub, err := s.live(ctx, id)
	if err != nil {
		return nil, err
	}
	if !sub.Active {
		return nil, problem.New(http.StatusConflict, "subscription_inactive", "The webhook is not active, so nothing is sent to it. Switch Is Active on first.")
	}
	if s.now().Before(sub.PausedUntil) {
		return nil, problem.New(http.StatusConflict, "subscription_paused", "The webhook is paused, so all of it would wait again. Resume it first.")
	}
	w := &store.SendWaiting{ID: "snd_" + uuid.Must(uuid.NewV7()).String(), SubscriptionID: id, RequestedBy: by.Name}
	switch err := s.Store.CreateSendWaiting(ctx, w); {
	case err == nil:
		s.audit(ctx, by, "subscription.waiting_sent", id, map[string]string{"run": w.ID})
	case !errors.Is(err, store.ErrExists):
		return nil, err
	}
	if s.Releaser != nil {
		s.Releaser.Kick()
	}
	return s.Store.LastSendWaiting(ctx, id)
}

// CancelSendWaiting ends it where it is. What was sent is sent; the rest goes on
// waiting.
func (s *Service) CancelSendWaiting(ctx context.Context, id string, by store.Actor) (*store.SendWaiting, error) {
	if err := s.Store.CancelSendWaiting(ctx, id); err != nil {
		return nil, err
	}
	s.audit(ctx, by, "subscription.waiting_cancelled", id, nil)
	if s.Releaser != nil {
		s.Releaser.Kick()
	}
	return s.Store.LastSendWaiting(ctx, id)
}
