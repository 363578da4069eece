package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

func (c *Console) careRoutes(page func(pattern, scope string, h handler)) {
	page("POST /webhooks/{id}/pause", access.Write, c.pause)
	page("POST /webhooks/{id}/resume", access.Write, func(w http.ResponseWriter, r *http.Request) error {
		saved, err := c.Webhooks.Resume(r.Context(), r.PathValue("id"), actor(r))
		return c.cared(w, r, saved, "resumed", err)
	})
	page("POST /webhooks/{id}/stop-waiting", access.Resend, func(w http.ResponseWriter, r *http.Request) error {
		saved, err := c.Webhooks.StopWaiting(r.Context(), r.PathValue("id"), actor(r))
		return c.cared(w, r, saved, "discarded", err)
	})
	page("POST /webhooks/{id}/send-waiting", access.Resend, func(w http.ResponseWriter, r *http.Request) error {
		_, err := c.Webhooks.SendWaiting(r.Context(), r.PathValue("id"), actor(r))
		return c.cared(w, r, nil, "sending", err)
	})
	page("POST /webhooks/{id}/cancel-sending", access.Resend, func(w http.ResponseWriter, r *http.Request) error {
		_, err := c.Webhooks.CancelSendWaiting(r.Context(), r.PathValue("id"), actor(r))
		return c.cared(w, r, nil, "cancelling", err)
	})
	page("GET /webhooks/{id}/rotate", access.Write, c.rotateForm)
	page("POST /webhooks/{id}/rotate", access.Write, c.rotate)
	page("POST /deliveries/{id}/stop", access.Resend, func(w http.ResponseWriter, r *http.Request) error {
		d, err := c.Webhooks.StopDelivery(r.Context(), r.PathValue("id"), actor(r))
		if err != nil {
			return err
		}
		http.Redirect(w, r, "/deliveries/"+url.PathEscape(d.DeliveryID)+"?done=stopped", http.StatusSeeOther)
		return nil
	})
}

// cared goes back to the webhook's page.
func (c *Console) cared(w http.ResponseWriter, r *http.Request, saved *webhooks.Saved, what string, err error) error {
	if err != nil {
		return err
	}
	if saved != nil && !saved.Published {
		what = "unpub"
	}
	http.Redirect(w, r, "/webhooks/"+url.PathEscape(r.PathValue("id"))+"/attempts?done="+what, http.StatusSeeOther)
	return nil
}

func (c *Console) pause(w http.ResponseWriter, r *http.Request) error {
	saved, err := c.Webhooks.Pause(r.Context(), r.PathValue("id"), webhooks.PauseInput{For: r.PostForm.Get("for")}, actor(r))
	return c.cared(w, r, saved, "paused", err)
}

// care is what goes on with a webhook, and what can be done about it.
type care struct {
	ID, Base                         string
	Live                             liveness
	Active                           bool
	PausedUntil, PreviousUntil, Next time.Time
	Waiting                          int64
	Sending                          *store.SendWaiting
	Running                          bool
	Progress                         string
}

func (c *Console) careOf(r *http.Request, s *subscription.Subscription) *care {
	now := c.Now()
	k := &care{ID: s.ID, Base: "/webhooks/" + url.PathEscape(s.ID), Live: liveness{On: true}, Active: s.Active}
	if now.Before(s.PausedUntil) {
		k.PausedUntil = s.PausedUntil
	}
	if len(s.SealedPreviousSecret) > 0 && now.Before(s.PreviousSecretUntil) {
		k.PreviousUntil = s.PreviousSecretUntil
	}
	if stats, err := c.Store.SubscriptionStats(r.Context(), now.Add(-24*time.Hour), s.ID); err == nil {
		k.Waiting, k.Next = stats[s.ID].Waiting, stats[s.ID].NextRetry
	}
	if w, err := c.Store.LastSendWaiting(r.Context(), s.ID); err == nil {
		k.Running = w.State == store.SendRunning || w.State == store.SendCancelling
		if k.Running || now.Sub(w.UpdatedAt) < time.Hour {
			k.Sending = w
			k.Progress = strconv.FormatInt(w.Sent, 10) + " sent"
			if k.Running && w.Total > 0 {
				k.Progress += ", " + percent(w.Scanned, w.Total) + " of what waits looked at"
			}
		}
	}
	return k
}

type rotatePage struct {
	base
	ID, Name, Version, Wrong, Secret string
	Done                             bool
	Until                            time.Time
}

func (c *Console) rotateForm(w http.ResponseWriter, r *http.Request) error {
	s, err := c.subscription(r)
	if err != nil {
		return err
	}
	return c.render(w, r, http.StatusOK, "rotate", c.rotatePage(r, s))
}

func (c *Console) rotatePage(r *http.Request, s *subscription.Subscription) rotatePage {
	return rotatePage{base: c.base(r, "Rotate the signing secret", "/webhooks", crumb{"Webhooks", "/webhooks"}, crumb{s.Name, "/webhooks/" + url.PathEscape(s.ID) + "/attempts"}, crumb{Text: "Rotate the signing secret"}),
		ID: s.ID, Name: s.Name, Version: strconv.FormatInt(s.Version, 10), Until: s.PreviousSecretUntil}
}

// rotate shows a secret that was made, once. The version in the form keeps a
// second press from rotating twice.
func (c *Console) rotate(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if err != nil || version < 1 {
		return store.ErrVersion
	}
	saved, err := c.Webhooks.Rotate(r.Context(), r.PathValue("id"), version, webhooks.RotateInput{SigningSecret: r.PostForm.Get("signing_secret")}, actor(r))
	if p := problem.From(err); err != nil && p.Status == http.StatusUnprocessableEntity {
		s, err := c.subscription(r)
		if err != nil {
			return err
		}
		page := c.rotatePage(r, s)
		page.Wrong = p.Detail
		return c.render(w, r, p.Status, "rotate", page)
	}
	if err != nil {
		return err
	}
	page := c.rotatePage(r, saved.Subscription)
	page.Done, page.Secret = true, saved.Secret
	return c.render(w, r, http.StatusOK, "rotate", page)
}
