package write

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
)

// tick notes which partitions are known to be projected to their end, and
// commits the offsets to Kafka. Without an answer from Kafka nothing is noted,
// and the view grows old as it should.
func (s *session) tick(ctx context.Context) error {
	s.commitSoon(ctx)
	held := s.all()
	if len(held) == 0 {
		return nil
	}
	asked := time.Now()
	ends, err := s.ends(ctx)
	s.kafka(err)
	if err != nil {
		if ctx.Err() == nil {
			s.logger.Warn("ends.failed", zap.Error(err))
		}
		return nil
	}
	b := &store.Batch{}
	for _, p := range held {
		at, ok := s.get(p)
		end, listed := ends.Lookup(p.topic, p.id)
		if !ok || !listed || at < end.Offset {
			continue
		}
		b.Offsets = append(b.Offsets, store.Offset{Topic: p.topic, Partition: p.id, From: at, To: at, Until: asked})
	}
	if len(b.Offsets) == 0 {
		return nil
	}
	return s.tryUntil(ctx, b)
}

// ends are the last stable offsets: the end of what may be read.
func (s *session) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ends, err := s.admin.ListCommittedOffsets(ctx, s.c.Topics...)
	if err == nil {
		err = ends.Error()
	}
	return ends, err
}

// commitSoon shows the position to whoever watches the group's lag.
func (s *session) commitSoon(ctx context.Context) {
	if offsets := s.uncommitted(); len(offsets) > 0 {
		s.client.CommitOffsets(ctx, offsets, s.committed)
	}
}

// commit does the same and waits for it, briefly.
func (s *session) commit(ctx context.Context) {
	if offsets := s.uncommitted(); len(offsets) > 0 {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		s.client.CommitOffsetsSync(ctx, offsets, s.committed)
	}
}

func (s *session) committed(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		s.logger.Info("commit.failed", zap.Error(err))
	}
}
