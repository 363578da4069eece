package erase

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
)

const (
	// lookEvery is how often the runner looks for what another process was asked for.
	lookEvery = 2 * time.Second
	maxPause  = 30 * time.Second
	lockName  = "erasures"
)

// Run carries on with what is to be counted or erased, wherever one process of the
// deployment may do so, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		release, ok, err := s.Store.Lock(ctx, lockName)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("erasure.unleased", zap.Error(err))
		}
		if err == nil && ok {
			s.lead(ctx)
			release()
		}
		s.pause(ctx, lookEvery)
	}
	return nil
}

// lead works until ctx ends, or until the store does not answer: the lease may be
// lost then.
func (s *Service) lead(ctx context.Context) {
	var compared time.Time
	for ctx.Err() == nil {
		open, err := s.Store.OpenErasures(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Logger.Warn("erasure.unread", zap.Error(err))
			}
			return
		}
		for _, e := range open {
			// One that was started in another process may not be kept yet.
			s.unkept = s.unkept || e.State == store.ErasureRunning
			s.carry(ctx, e)
		}
		if len(open) > 0 {
			continue
		}
		if s.unkept || time.Since(compared) > reconcileEvery {
			// Kafka may be away: then soon again, and what is to be erased goes first.
			compared = time.Now()
			err := s.reconcile(ctx)
			if s.unkept = err != nil; err != nil && ctx.Err() == nil {
				s.Logger.Warn("erasure.unkept", zap.Error(err))
			}
		}
		s.pause(ctx, lookEvery)
	}
}

// carry takes one as far as it goes. What fails is tried again, later each time.
func (s *Service) carry(ctx context.Context, e *store.Erasure) {
	logger := s.Logger.With(zap.String("erasure", e.ID), zap.String("by", e.Kind))
	x := s.Store.Erasing(e)
	for wait := time.Second; ctx.Err() == nil; {
		done, err := s.Store.EraseStep(ctx, x)
		switch {
		case err == nil && !done:
			wait = time.Second
			continue
		case err == nil:
			s.ended(ctx, e.ID, logger)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrVersion):
			// It was started, cancelled, or is another process's.
			return
		}
		logger.Error("erasure.interrupted", zap.Error(err), zap.Duration("again_in", wait))
		if err := s.Store.NoteErasureFault(ctx, e.ID, "It was interrupted, and is tried again."); err != nil && ctx.Err() == nil {
			return
		}
		pause(ctx, wait)
		wait = min(2*wait, maxPause)
		if now, err := s.Store.Erasure(ctx, e.ID); err == nil && now.State != e.State {
			return
		}
	}
}

func (s *Service) ended(ctx context.Context, id string, logger *zap.Logger) {
	e, err := s.Store.Erasure(ctx, id)
	if err != nil || e.State != store.ErasureDone {
		return
	}
	s.audit(ctx, store.Actor{Name: "aftercall", Kind: "system"}, "erasure.done", id, numbers(e.Counts))
	logger.Info("erasure.done", zap.Int64("events", e.Counts.Events), zap.Int64("payloads", e.Counts.Payloads), zap.Int64("attempts", e.Counts.Attempts), zap.Int64("rejections", e.Counts.Rejections))
	if e.Fault != "" {
		logger.Warn("erasure.not_overwritten", zap.String("fault", e.Fault))
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// pause ends early when something was asked for here.
func (s *Service) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-time.After(d):
	}
}
