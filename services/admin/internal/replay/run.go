package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const (
	// lookEvery is how often the runner looks for what is to be run, and a running
	// replay whether it was cancelled.
	lookEvery = 250 * time.Millisecond
	// leaseEvery is how often an instance without the lock asks for it.
	leaseEvery = 2 * time.Second
	// batch bounds what is in memory, and what is produced again after a kill.
	batch = 64
	// patience with Kafka for one batch.
	patience = 10 * time.Second
	// maxPause between tries after a fault.
	maxPause = 15 * time.Second
)

// Run carries on with what is running, wherever one instance of the deployment
// may do so, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		release, ok, err := s.Rows.ReplayLock(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("replay.unleased", zap.Error(err))
		}
		if err == nil && ok {
			s.lead(ctx)
			release()
		}
		pause(ctx, leaseEvery)
	}
	return nil
}

// lead runs all replays that are to be run, side by side.
func (s *Service) lead(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	busy := map[string]bool{}
	for ctx.Err() == nil {
		running, err := s.Rows.RunningReplays(ctx)
		if err != nil && ctx.Err() == nil {
			s.Logger.Warn("replay.unread", zap.Error(err))
		}
		for _, r := range running {
			mu.Lock()
			already := busy[r.ID]
			busy[r.ID] = true
			mu.Unlock()
			if already {
				continue
			}
			wg.Go(func() {
				s.carry(ctx, r)
				mu.Lock()
				delete(busy, r.ID)
				mu.Unlock()
			})
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-time.After(lookEvery):
		}
	}
}

// carry runs one replay to its end, or until it is cancelled or somebody else
// runs it.
func (s *Service) carry(parent context.Context, r *store.Replay) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	id := r.ID // r changes with every step
	var rate atomic.Int64
	rate.Store(int64(r.Rate))
	var watch sync.WaitGroup
	watch.Go(func() {
		for pause(ctx, lookEvery); ctx.Err() == nil; pause(ctx, lookEvery) {
			now, err := s.Rows.Replay(ctx, id)
			if err == nil && now.State != store.ReplayRunning {
				cancel()
			} else if err == nil {
				rate.Store(int64(now.Rate))
			}
		}
	})
	defer watch.Wait()
	defer cancel()

	logger := s.Logger.With(zap.String("replay", r.ID))
	logger.Info("replay.running", zap.Int64("sent", r.Sent), zap.Int64("skipped", r.Skipped))
	w := s.walker(r, true)
	wait := time.Second
	for ctx.Err() == nil {
		done, err := s.step(ctx, w, int(rate.Load()))
		var refused *kerr.Error
		switch {
		case err == nil && done:
			if err := s.Rows.EndReplay(ctx, r.ID, store.ReplayDone, ""); err != nil {
				logger.Warn("replay.interrupted", zap.Error(err))
				pause(ctx, time.Second)
				continue
			}
			logger.Info("replay.done", zap.Int64("sent", w.replay.Sent), zap.Int64("skipped", w.replay.Skipped))
			return
		case err == nil:
			wait = time.Second
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrVersion), errors.Is(err, store.ErrNotFound):
			// Somebody else runs it, from another place: it is read again.
			logger.Warn("replay.moved")
			return
		case errors.As(err, &refused) && !refused.Retriable:
			logger.Error("replay.failed", zap.Error(err))
			if err := s.Rows.EndReplay(ctx, r.ID, store.ReplayFailed, "Kafka refuses its records: "+refused.Message); err == nil {
				return
			}
			pause(ctx, wait)
		default:
			logger.Warn("replay.interrupted", zap.Error(err))
			told := *w.replay
			told.Fault = "Interrupted: Kafka or the database does not answer. It goes on by itself."
			if s.Rows.SaveReplay(ctx, w.replay, &told) == nil {
				*w.replay = told
			}
			pause(ctx, wait)
			wait = min(2*wait, maxPause)
		}
	}
}

// step sends the next few, waits for their acknowledgements, makes their rows
// and saves the cursor, in this order.
func (s *Service) step(ctx context.Context, w *walker, rate int) (done bool, err error) {
	start := time.Now()
	part, cursor, done, err := w.next(ctx, w.replay.Cursor, max(1, min(batch, rate/4)))
	if err != nil {
		return false, err
	}
	after := *w.replay
	after.SkippedFor = maps.Clone(w.replay.SkippedFor)
	if after.SkippedFor == nil {
		after.SkippedFor = map[string]int64{}
	}
	after.Cursor, after.Fault = cursor, ""
	now := time.Now().UTC()
	var produced []*store.RequestedDelivery
	var records []*kgo.Record
	for _, c := range part {
		switch {
		case c.sent:
			after.Sent++
		case c.skip != "":
			after.Skipped++
			after.SkippedFor[c.skip]++
		default:
			after.Sent++
			m := s.delivery(c, w.replay.ID, now)
			produced = append(produced, &store.RequestedDelivery{Delivery: m, By: w.replay.StartedBy})
			records = append(records, record.New(topic.Deliveries, record.ShardKey(m, c.subscription.MaxConcurrency), m, now))
		}
	}
	after.Total = max(after.Total, after.Sent+after.Skipped)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	// What has begun is finished, so that the counts are right when it was
	// cancelled.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := s.produce(finish, records); err != nil {
		return false, err
	}
	if len(produced) > 0 {
		if _, err := s.Rows.Project(finish, &store.Batch{Requested: produced}); err != nil {
			return false, fmt.Errorf("adding deliveries: %w", err)
		}
	}
	if after.Cursor != w.replay.Cursor || after.Fault != w.replay.Fault {
		if err := s.Rows.SaveReplay(finish, w.replay, &after); err != nil {
			return false, err
		}
	}
	*w.replay = after
	pause(ctx, time.Duration(len(records))*time.Second/time.Duration(rate)-time.Since(start))
	return done, nil
}

// produce returns when all are acknowledged.
func (s *Service) produce(ctx context.Context, records []*kgo.Record) error {
	acked := make(chan error, len(records))
	for _, r := range records {
		s.Producer.Produce(ctx, r, func(_ *kgo.Record, err error) { acked <- err })
	}
	var first error
	for range records {
		select {
		case err := <-acked:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return fmt.Errorf("producing deliveries: %w", ctx.Err())
		}
	}
	if first != nil {
		return fmt.Errorf("producing deliveries: %w", first)
	}
	return nil
}

func (s *Service) delivery(c candidate, replayID string, now time.Time) *aftercallv1.Delivery {
	e := c.event
	return &aftercallv1.Delivery{
		DeliveryId:          c.deliveryID,
		EventId:             e.EventID,
		SubscriptionId:      c.subscriptionID,
		Tenant:              e.Tenant,
		EventType:           e.EventType,
		CallId:              e.CallID,
		Cause:               aftercallv1.Cause_CAUSE_REPLAY,
		RequestId:           replayID,
		Attempt:             1,
		OccurredAt:          timestamppb.New(e.OccurredAt),
		FirstQueuedAt:       timestamppb.New(now),
		SubscriptionsOffset: s.Offsets.Offset(),
		Payload:             e.Payload,
		Source:              e.Source,
		Traceparent:         e.Traceparent,
		Position:            &aftercallv1.Position{Topic: e.Position.Topic, Partition: e.Position.Partition, Offset: e.Position.Offset},
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
