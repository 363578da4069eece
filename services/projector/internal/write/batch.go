package write

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/projector/internal/decode"
)

// errStuck says that the database refuses even the note that it has refused a
// record.
var errStuck = errors.New("a record can neither be stored nor rejected")

// write projects records that were polled together. Those before one of an
// unknown version are still written.
func (s *session) write(ctx context.Context, records []*kgo.Record) error {
	items := make([]decode.Item, 0, len(records))
	var unknown error
	for _, r := range records {
		at, held := s.get(partition{r.Topic, r.Partition})
		if !held || r.Offset < at {
			continue
		}
		item, err := decode.Record(r)
		if err != nil {
			unknown = err
			break
		}
		if item.Rejected {
			s.rejected(r, decode.CodeCorrupt)
		}
		items = append(items, item)
	}
	if len(items) > 0 {
		if err := s.project(ctx, items); err != nil {
			return err
		}
	}
	return unknown
}

func (s *session) rejected(r *kgo.Record, code string) {
	s.metrics.rejected.WithLabelValues(code).Inc()
	s.logger.Error("record.rejected", zap.String("code", code), zap.String("topic", r.Topic), zap.Int32("partition", r.Partition), zap.Int64("offset", r.Offset))
}

// project writes items in one transaction. Where the database refuses a value
// it writes halves, down to the one record, which becomes a rejection.
func (s *session) project(ctx context.Context, items []decode.Item) error {
	batch := s.batch(items)
	spans := s.trace(batch, time.Now())
	err := s.tryUntil(ctx, batch)
	spans.end(err, time.Now())
	if err == nil || !errors.Is(err, store.ErrUnstorable) {
		return err
	}
	if n := len(items); n > 1 {
		if err := s.project(ctx, items[:n/2]); err != nil {
			return err
		}
		return s.project(ctx, items[n/2:])
	}
	if items[0].Rejected {
		return fmt.Errorf("%w: %w", errStuck, err)
	}
	r := items[0].Record
	s.rejected(r, decode.CodeUnstorable)
	s.logger.Error("record.refused", zap.Error(err))
	return s.project(ctx, []decode.Item{decode.Reject(r, decode.CodeUnstorable, "the database refuses one of its values")})
}

// batch is the batch of items, from where the store stands.
func (s *session) batch(items []decode.Item) *store.Batch {
	b := &store.Batch{}
	moves := map[partition]*store.Offset{}
	for _, item := range items {
		item.AddTo(b)
		r := item.Record
		p := partition{r.Topic, r.Partition}
		o := moves[p]
		if o == nil {
			at, _ := s.get(p)
			o = &store.Offset{Topic: r.Topic, Partition: r.Partition, From: at}
			moves[p] = o
		}
		o.To = r.Offset + 1
		if r.Timestamp.After(o.Until) {
			o.Until = r.Timestamp
		}
	}
	for _, o := range moves {
		b.Offsets = append(b.Offsets, *o)
	}
	return b
}

// tryUntil projects a batch, again and again while the database fails for
// reasons of its own, for as long as Patience.
func (s *session) tryUntil(ctx context.Context, b *store.Batch) error {
	began := time.Now()
	for n := 1; ; n++ {
		start := time.Now()
		done, err := s.store.Project(ctx, b)
		switch {
		case err == nil:
			s.wrote(nil)
			s.metrics.projected(done, b.Len(), time.Since(start))
			for _, o := range b.Offsets {
				p := partition{o.Topic, o.Partition}
				s.set(p, o.To, o.To != o.From)
				s.metrics.fresh(p, o.Until)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrOffsetMoved), errors.Is(err, store.ErrUnstorable):
			return err
		}
		s.metrics.failures.Inc()
		s.wrote(err)
		if time.Since(began) > s.c.Patience {
			return fmt.Errorf("projecting: %w", err)
		}
		s.logger.Warn("batch.failed", zap.Int("records", b.Len()), zap.Int("tries", n), zap.Error(err))
		if !sleep(ctx, backoff(n)) {
			return ctx.Err()
		}
	}
}
