package write

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/projector/internal/decode"
)

// begin says where partitions that were just assigned are read from: where the
// store stands. What the group has committed does not count.
//
//   - The store stands beyond the log's end: the log was lost or made anew. The
//     projector stops with an explanation.
//   - The store stands before the log's start: records are gone. That is an
//     alarm and a rejection of code gap, and reading goes on at the start.
//   - The store has nothing: the start of the log. All that is there is wanted.
//
// It tries until it succeeds or ctx ends: an error would lose the partitions.
func (s *session) begin(ctx context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-s.made:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for n := 1; ; n++ {
		out, err := s.beginOnce(ctx, assigned)
		switch {
		case err == nil:
			return out, nil
		case errors.Is(err, ErrLog), errors.Is(err, store.ErrOffsetMoved):
			s.end(err)
			return nil, err
		}
		s.logger.Error("offsets.failed", zap.Error(err))
		if !sleep(ctx, backoff(n)) {
			return nil, ctx.Err()
		}
	}
}

func (s *session) beginOnce(ctx context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	stored, err := s.store.ProjectedOffsets(ctx)
	s.read(err)
	if err != nil {
		return nil, err
	}
	topics := make([]string, 0, len(assigned))
	for t := range assigned {
		topics = append(topics, t)
	}
	if len(topics) == 0 {
		return assigned, nil
	}
	starts, ends, err := s.bounds(ctx, topics)
	s.kafka(err)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32]kgo.Offset{}
	for t, ids := range assigned {
		out[t] = map[int32]kgo.Offset{}
		for id := range ids {
			at, known := stored[t][id]
			first, ok := starts.Lookup(t, id)
			end, ok2 := ends.Lookup(t, id)
			if !ok || !ok2 {
				return nil, fmt.Errorf("listing offsets: %s/%d is not there", t, id)
			}
			if at > end.Offset {
				return nil, fmt.Errorf("%w: everything below offset %d of %s/%d is in the store, but that log ends at %d: the topic was deleted and made again, "+
					"or lost data, or this is the database of another cluster; check the broker and AFTERCALL_DATABASE_URL, then, to project what is there now, "+
					"delete from projector_offsets where topic = '%s'", ErrLog, at, t, id, end.Offset, t)
			}
			if known && at < first.Offset {
				if err := s.gap(ctx, partition{t, id}, at, first.Offset); err != nil {
					return nil, err
				}
				at = first.Offset
			}
			s.set(partition{t, id}, at, false)
			out[t][id] = kgo.NewOffset().At(max(at, first.Offset))
		}
	}
	s.metrics.keep(s.all())
	return out, nil
}

func (s *session) bounds(ctx context.Context, topics []string) (starts, ends kadm.ListedOffsets, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if starts, err = s.admin.ListStartOffsets(ctx, topics...); err == nil {
		err = starts.Error()
	}
	if err == nil {
		if ends, err = s.admin.ListEndOffsets(ctx, topics...); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		err = fmt.Errorf("listing offsets: %w", err)
	}
	return starts, ends, err
}

// gap makes the loss of records visible and moves past it.
func (s *session) gap(ctx context.Context, p partition, at, first int64) error {
	s.logger.Error("offsets.gap", zap.String("topic", p.topic), zap.Int32("partition", p.id), zap.Int64("stored", at), zap.Int64("log_start", first), zap.Int64("lost", first-at))
	s.metrics.lost.Add(float64(first - at))
	now := time.Now()
	_, err := s.store.Project(ctx, &store.Batch{
		Rejections: []*store.RejectionAt{{StoredAt: now, Rejection: &aftercallv1.Rejection{
			Position: &aftercallv1.Position{Topic: p.topic, Partition: p.id, Offset: at}, LastOffset: first - 1, Code: decode.CodeGap, Tenant: "default",
			Reason:     fmt.Sprintf("%d records were removed from Kafka before they were projected: the projector was away for longer than the topic's retention", first-at),
			RejectedAt: timestamppb.New(now),
		}}},
		Offsets: []store.Offset{{Topic: p.topic, Partition: p.id, From: at, To: first}},
	})
	return err
}
