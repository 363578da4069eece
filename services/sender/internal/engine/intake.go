package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/core"
)

// poll takes records in.
func (e *Engine) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if !e.waitForRoom(ctx) {
			return
		}
		fetches := e.client.PollRecords(ctx, pollRecords)
		if fetches.IsClientClosed() {
			return
		}
		for _, err := range fetches.Errors() {
			switch {
			case errors.Is(err.Err, context.Canceled), errors.Is(err.Err, context.DeadlineExceeded):
			case final(err.Err):
				e.fail(kafka.Reading(err.Topic, err.Partition, kafka.Explained(err.Err)))
			default:
				e.logger.Warn("deliveries.read.failed", zap.Int32("partition", err.Partition), zap.Error(err.Err))
			}
		}
		e.admit(fetches)
		e.client.AllowRebalance()
	}
}

// final says that reading on is impossible: the topic is not the one that the
// offsets belong to.
func final(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.OffsetOutOfRange)
}

func (e *Engine) waitForRoom(ctx context.Context) bool {
	for {
		e.mu.Lock()
		full := e.core.Full()
		e.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-e.room:
		}
	}
}

func (e *Engine) admit(fetches kgo.Fetches) {
	jobs := make([]*core.Job, 0, fetches.NumRecords())
	for _, r := range kafka.Data(fetches.Records()) {
		jobs = append(jobs, e.open(r))
	}
	if len(jobs) == 0 {
		return
	}
	now := time.Now()
	e.mu.Lock()
	for _, j := range jobs {
		e.core.Admit(j, now)
	}
	e.mu.Unlock()
	e.poke()
	// Some may have been finished already, by the previous owner or as a copy.
	e.commits.due()
}

func (e *Engine) open(r *kgo.Record) *core.Job {
	j := &core.Job{Key: append([]byte(nil), r.Key...), Partition: r.Partition, Offset: r.Offset, Size: len(r.Value) + jobOverhead}
	d, err := record.OpenAs[*aftercallv1.Delivery](r)
	if err == nil {
		err = check(d)
	}
	if err != nil {
		e.logger.Error("delivery.unreadable", zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset), zap.Error(err))
		e.meter.unreadable.Inc()
		j.Raw = unreadable{r, err}
		return j
	}
	j.Delivery = d
	return j
}

// check refuses a delivery that no router or admin of ours made.
func check(d *aftercallv1.Delivery) error {
	bad := func(field string) error {
		return fmt.Errorf("%w: delivery without a valid %s", record.ErrCorrupt, field)
	}
	switch {
	case d.GetDeliveryId() == "":
		return bad("delivery_id")
	case d.GetEventId() == "":
		return bad("event_id")
	case d.GetSubscriptionId() == "":
		return bad("subscription_id")
	case d.GetAttempt() < 1 || d.GetAttempt() > maxAttempt:
		return bad("attempt")
	case d.GetDeferrals() < 0:
		return bad("deferrals")
	case !d.GetFirstQueuedAt().IsValid():
		return bad("first_queued_at")
	}
	return nil
}
