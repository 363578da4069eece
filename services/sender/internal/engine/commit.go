package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender/internal/core"
)

const (
	// commitEvery is the longest pause between commits while there is something
	// to commit.
	commitEvery = 250 * time.Millisecond
	// commitShare bounds the committer's part of the broker's time: after a
	// commit that took t, the next one comes no sooner than commitShare × t.
	commitShare = 10
	// commitAt finished records cut the pause short.
	commitAt     = 200
	commitNoLess = 5 * time.Millisecond
	commitBound  = 10 * time.Second
)

// commitPace wakes the committer. It commits at once while that is cheap, so
// that a killed sender repeats a dozen requests and not a quarter of a second's
// worth, less often the longer a commit takes, and never later than commitAt
// finished records.
type commitPace struct {
	wake, full chan struct{}
	finished   atomic.Int64
}

func newCommitPace() *commitPace {
	return &commitPace{wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// due says that there may be something to commit.
func (p *commitPace) due() { signal(p.wake) }

// done says that a record is finished.
func (p *commitPace) done() {
	if p.finished.Add(1) == commitAt {
		signal(p.full)
	}
	p.due()
}

// begun forgets what the commit that begins now covers.
func (p *commitPace) begun() {
	p.finished.Store(0)
	select {
	case <-p.full:
	default:
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (e *Engine) committing(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		// The pause since the last one, then something to do.
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-e.commits.full:
		}
		select {
		case <-ctx.Done():
			return
		case <-e.commits.wake:
		}
		e.commits.begun()
		began := time.Now()
		known := e.commit(ctx)
		pause := min(max(commitShare*time.Since(began), commitNoLess), commitEvery)
		if !known {
			e.commits.due()
			pause = commitEvery // a refusal may come fast
		}
		timer.Reset(pause)
	}
}

// lastTry bounds the last commit before partitions go to another.
const lastTry = 5 * time.Second

// commitAtLast commits before partitions go to another, who would repeat what is
// not committed: it does not take one refusal for an answer.
func (e *Engine) commitAtLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastTry)
	defer cancel()
	for !e.commit(ctx) {
		select {
		case <-ctx.Done():
			e.logger.Warn("commit.given.up")
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// commit tells the broker what is finished, if that is news, and says whether
// the broker knows it now.
func (e *Engine) commit(ctx context.Context) bool {
	e.commitMu.Lock()
	defer e.commitMu.Unlock()
	e.mu.Lock()
	commits := e.core.Commits()
	e.mu.Unlock()
	if len(commits) == 0 {
		return true
	}
	offsets := make(map[int32]kgo.EpochOffset, len(commits))
	for p, c := range commits {
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: c.Offset}
	}
	ctx, cancel := context.WithTimeout(ctx, commitBound)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for i := range request.Topics {
			for j := range request.Topics[i].Partitions {
				p := &request.Topics[i].Partitions[j]
				if c, ok := commits[p.Partition]; ok && c.Metadata != "" && !e.mapless.Load() {
					p.Metadata = &c.Metadata
				} else {
					p.Metadata = nil
				}
			}
		}
		return nil
	})
	began := time.Now()
	known := false
	e.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{topic.Deliveries: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				if ctx.Err() == nil {
					e.logger.Warn("commit.failed", zap.Error(err))
				}
				return
			}
			e.meter.commit.Observe(time.Since(began).Seconds())
			acknowledged := map[int32]core.Commit{}
			for _, t := range response.Topics {
				for _, p := range t.Partitions {
					err := kerr.ErrorForCode(p.ErrorCode)
					if errors.Is(err, kerr.OffsetMetadataTooLarge) && e.mapless.CompareAndSwap(false, true) {
						// Offsets alone from now on: a killed sender repeats more.
						e.logger.Error("commit.map.refused", zap.String("change", "set offset.metadata.max.bytes of the brokers to 4096 or more"))
						continue
					}
					if err != nil {
						e.logger.Warn("commit.refused", zap.Int32("partition", p.Partition), zap.Error(err))
						continue
					}
					acknowledged[p.Partition] = commits[p.Partition]
				}
			}
			e.mu.Lock()
			e.core.Committed(acknowledged)
			e.mu.Unlock()
			known = len(acknowledged) == len(commits)
		})
	return known
}
