package webhooks

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// MaxPause is as long as a webhook can be paused: nothing waits longer than that.
const MaxPause = 72 * time.Hour

// PreviousSigns is how long a signing secret goes on signing after a rotation,
// beside the new one.
const PreviousSigns = 24 * time.Hour

// PauseInput says for how long to pause: one of the two.
type PauseInput struct {
	For   string    `json:"for,omitempty" doc:"How long, from now." example:"30m"`
	Until time.Time `json:"until,omitzero" doc:"Until when, RFC 3339."`
}

// amend changes a subscription as it is now and publishes it. version 0 stands
// for whatever is current: then somebody's change in between is no obstacle.
func (s *Service) amend(ctx context.Context, id string, version int64, by store.Actor, change func(*subscription.Subscription) error) (*Saved, error) {
	next, err := s.alter(ctx, id, version, by, change)
	if err != nil {
		return nil, err
	}
	return &Saved{Subscription: next, Published: s.publish(ctx, id)}, nil
}

// alter is amend that leaves publishing to its caller.
func (s *Service) alter(ctx context.Context, id string, version int64, by store.Actor, change func(*subscription.Subscription) error) (*subscription.Subscription, error) {
	const tries = 5
	for try := 1; ; try++ {
		current, err := s.live(ctx, id)
		if err != nil {
			return nil, err
		}
		if version != 0 && version != current.Version {
			return nil, store.ErrVersion
		}
		next := *current
		next.Version, next.UpdatedAt = current.Version+1, s.now()
		if err := change(&next); err != nil {
			return nil, err
		}
		err = s.Store.UpdateSubscription(ctx, &next, current.Version, by)
		if errors.Is(err, store.ErrVersion) && version == 0 && try < tries {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &next, nil
	}
}

// Pause puts a webhook's deliveries off for a while. It resumes by itself, and
// the pause extends no delivery's maximum age.
func (s *Service) Pause(ctx context.Context, id string, in PauseInput, by store.Actor) (*Saved, error) {
	until, err := s.pauseEnd(in)
	if err != nil {
		return nil, err
	}
	saved, err := s.amend(ctx, id, 0, by, func(next *subscription.Subscription) error {
		next.PausedUntil = until
		return nil
	})
	if err == nil {
		s.audit(ctx, by, "subscription.paused", id, map[string]string{"until": until.Format(wire.Layout)})
	}
	return saved, err
}

func (s *Service) pauseEnd(in PauseInput) (time.Time, error) {
	now := s.now()
	refuse := func(pointer, message string) (time.Time, error) {
		return time.Time{}, problem.Invalid(problem.Field{Pointer: pointer, Code: problem.CodeInvalid, Message: message})
	}
	const how = `Say for how long, {"for": "30m"}, or until when, {"until": "2026-03-14T18:00:00Z"}.`
	text := strings.TrimSpace(in.For)
	switch {
	case text == "" && in.Until.IsZero(), text != "" && !in.Until.IsZero():
		return refuse("/for", how)
	case text == "":
		if !in.Until.After(now) || in.Until.After(now.Add(MaxPause)) {
			return refuse("/until", "A pause ends in the future, at most 72 hours from now: nothing waits longer.")
		}
		return in.Until.UTC(), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > MaxPause {
		return refuse("/for", "A pause looks like 30m or 2h, and takes at most 72h: nothing waits longer.")
	}
	return now.Add(d), nil
}

// Resume ends a pause.
func (s *Service) Resume(ctx context.Context, id string, by store.Actor) (*Saved, error) {
	saved, err := s.amend(ctx, id, 0, by, func(next *subscription.Subscription) error {
		next.PausedUntil = time.Time{}
		return nil
	})
	if err == nil {
		s.audit(ctx, by, "subscription.resumed", id, nil)
	}
	return saved, err
}

// StopWaiting ends everything that waits for a webhook, or is queued for it, at
// this moment. What comes after is sent as ever.
func (s *Service) StopWaiting(ctx context.Context, id string, by store.Actor) (*Saved, error) {
	before := s.now()
	saved, err := s.amend(ctx, id, 0, by, func(next *subscription.Subscription) error {
		if before.After(next.DiscardBefore) {
			next.DiscardBefore = before
		}
		return nil
	})
	if err == nil {
		s.audit(ctx, by, "subscription.waiting_stopped", id, map[string]string{"before": before.Format(wire.Layout)})
	}
	return saved, err
}

// RotateInput is the secret to sign with from now on.
type RotateInput struct {
	SigningSecret string `json:"signing_secret,omitempty" doc:"An existing secret (whsec_…). Without it one is made and answered once."`
}

// Rotate gives a webhook another signing secret. The one before signs beside it
// for PreviousSigns. version 0 stands for whatever is current.
func (s *Service) Rotate(ctx context.Context, id string, version int64, in RotateInput, by store.Actor) (*Saved, error) {
	signing := strings.TrimSpace(in.SigningSecret)
	brought := signing != ""
	if !brought {
		signing = webhook.NewSecret(s.random())
	}
	if fields := checkSecrets(signing, ""); len(fields) > 0 {
		return nil, problem.Invalid(fields...)
	}
	until := s.now().Add(PreviousSigns)
	saved, err := s.amend(ctx, id, version, by, func(next *subscription.Subscription) error {
		if len(next.SealedSecret) > 0 {
			plain, err := s.Sealer.Unseal(id, secret.FieldSecret, next.SealedSecret)
			if err != nil {
				return problem.New(http.StatusConflict, "key_missing", "The secret that signs now cannot be opened with this keyset, so it could not go on signing.")
			}
			if string(plain) == signing {
				return problem.Invalid(problem.Field{Pointer: "/signing_secret", Code: problem.CodeInvalid, Message: "This secret signs already."})
			}
			// A field's name is part of what seals it.
			if next.SealedPreviousSecret, err = s.Sealer.Seal(id, secret.FieldPreviousSecret, plain); err != nil {
				return err
			}
			next.PreviousSecretUntil = until
		}
		var err error
		next.SealedSecret, err = s.Sealer.Seal(id, secret.FieldSecret, []byte(signing))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.audit(ctx, by, "subscription.secret_rotated", id, map[string]string{"previous_until": until.Format(wire.Layout)})
	if !brought {
		saved.Secret = signing
	}
	return saved, nil
}
