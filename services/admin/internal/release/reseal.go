package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
)

// ResealEvery is how often subscriptions are looked at for secrets that an older
// key seals: another instance may still have one as its primary.
const ResealEvery = 10 * time.Minute

// Sealed are the subscriptions.
type Sealed interface {
	Rows
	Subscriptions(ctx context.Context, q store.SubscriptionQuery) ([]*subscription.Subscription, error)
}

// Reseal seals all secrets with the keyset's primary key, and publishes them, now
// and from time to time, until ctx ends. A secret that cannot be opened stays as
// it is.
func Reseal(ctx context.Context, rows Sealed, p Publisher, k *secret.Keyset, logger *zap.Logger) error {
	for ctx.Err() == nil {
		release, ok, err := rows.Lock(ctx, "reseal")
		wait := ResealEvery
		if ok {
			err = ResealOnce(ctx, rows, p, k, logger)
			release()
		}
		if err != nil && ctx.Err() == nil {
			logger.Warn("reseal.interrupted", zap.Error(err))
			wait = 5 * time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// ResealOnce does it once.
func ResealOnce(ctx context.Context, rows Sealed, p Publisher, k *secret.Keyset, logger *zap.Logger) error {
	all, err := rows.Subscriptions(ctx, store.SubscriptionQuery{})
	if err != nil {
		return err
	}
	for _, s := range all {
		for {
			next, changed, err := secret.Reseal(s, k)
			if err != nil {
				logger.Warn("subscription.unsealable", zap.String("subscription", s.ID), zap.Error(err))
				break
			}
			if !changed {
				break
			}
			next.Version, next.UpdatedAt = s.Version+1, time.Now().UTC()
			err = rows.UpdateSubscription(ctx, next, s.Version, system)
			switch {
			case errors.Is(err, store.ErrVersion):
				if s, err = rows.Subscription(ctx, s.ID); err == nil {
					continue
				}
				if errors.Is(err, store.ErrNotFound) {
					err = nil
				}
			case err == nil:
				logger.Info("subscription.resealed", zap.String("subscription", s.ID), zap.Int64("version", next.Version))
				err = p.Publish(ctx, s.ID)
			}
			if err != nil {
				return fmt.Errorf("sealing again: %w", err)
			}
			break
		}
	}
	return nil
}
