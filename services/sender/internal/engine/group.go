package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender/internal/tracker"
)

// fetched takes partitions over at their committed offsets. It runs after an
// assignment and before any of its records can be polled.
func (e *Engine) fetched(_ context.Context, _ *kgo.Client, response *kmsg.OffsetFetchResponse) error {
	take := func(name string, partition int32, offset int64, metadata *string) {
		if name != topic.Deliveries && name != "" {
			return
		}
		e.take(partition, max(offset, 0), metadata)
	}
	// Older brokers answer by topic, newer by group; the client may fill in both.
	if len(response.Groups) == 0 {
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				take(t.Topic, p.Partition, p.Offset, p.Metadata)
			}
		}
	}
	for _, g := range response.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				take(t.Topic, p.Partition, p.Offset, p.Metadata)
			}
		}
	}
	return nil
}

func (e *Engine) take(partition int32, committed int64, metadata *string) {
	var finished tracker.Map
	text := ""
	if metadata != nil && *metadata != "" {
		var err error
		if finished, err = tracker.DecodeMap(committed, *metadata); err != nil {
			// Written by a newer build, or by an operator who set the offset:
			// what was finished above it is sent again.
			e.logger.Warn("commit.map.ignored", zap.Int32("partition", partition), zap.Error(err))
		} else {
			text = *metadata
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.requests[partition]; r != nil {
		r.cancel()
		e.core.Forget(partition)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.requests[partition] = &requests{ctx, cancel}
	e.core.Assign(partition, committed, finished, text)
	e.logger.Info("partition.assigned", zap.Int32("partition", partition), zap.Int64("offset", committed), zap.Int("finished_above", len(finished)))
}

// revoked finishes what has begun, commits, and lets go.
func (e *Engine) revoked(ctx context.Context, _ *kgo.Client, revoked map[string][]int32) {
	partitions := revoked[topic.Deliveries]
	if len(partitions) == 0 {
		return
	}
	e.mu.Lock()
	for _, p := range partitions {
		e.core.Revoke(p)
	}
	e.mu.Unlock()
	deadline := time.NewTimer(RevokeDrain)
	defer deadline.Stop()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for e.busy(partitions) > 0 && !e.drained.Load() {
		select {
		case <-every.C:
			continue
		case <-ctx.Done():
		case <-deadline.C:
			e.logger.Warn("partition.drain.incomplete", zap.Int32s("partitions", partitions), zap.Int("busy", e.busy(partitions)))
		}
		break
	}
	e.commitAtLast(context.WithoutCancel(ctx))
	e.release(partitions)
	e.logger.Info("partition.revoked", zap.Int32s("partitions", partitions))
}

// lost lets go at once: the partitions are somebody else's already.
func (e *Engine) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	e.release(lost[topic.Deliveries])
	if partitions := lost[topic.Deliveries]; len(partitions) > 0 {
		e.logger.Warn("partition.lost", zap.Int32s("partitions", partitions))
	}
}

func (e *Engine) release(partitions []int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range partitions {
		if r := e.requests[p]; r != nil {
			r.cancel()
			delete(e.requests, p)
		}
		e.core.Forget(p)
	}
}

// groupHealth watches whether the group still counts on us: after a session
// without a heartbeat our partitions may be somebody else's, and to go on
// sending would be to send twice.
type groupHealth struct {
	limit time.Duration
	good  moment
	// joining is since when a join or sync has been asked for and not answered.
	joining moment
}

// joinLimit is how long a join may keep doubt away: the time that the group waits
// for its members, with something to spare. A coordinator that died while we
// joined does not count on us.
const joinLimit = 20 * time.Second

// moment is a point in time that steps of the wall clock do not move.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) set(t time.Time) { m.at.Store(&t) }

func (m *moment) clear() { m.at.Store(nil) }

// since is the time that has passed; ok is false where there is no moment.
func (m *moment) since(now time.Time) (passed time.Duration, ok bool) {
	at := m.at.Load()
	if at == nil {
		return 0, false
	}
	return now.Sub(*at), true
}

func (g *groupHealth) start(session time.Duration) {
	if session == 0 {
		session = 10 * time.Second
	}
	g.limit = session * 3 / 4
	g.good.set(time.Now())
}

// Keys of the group's requests.
const (
	keyJoin      = 11
	keyHeartbeat = 12
	keySync      = 14
)

// OnBrokerWrite sees a join or sync begin: until it is answered the coordinator
// waits for others, not for our heartbeat.
func (g *groupHealth) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == keyJoin || key == keySync {
		if g.joining.clear(); err == nil {
			g.joining.set(time.Now())
		}
	}
}

// OnBrokerE2E sees an answer to a heartbeat, join or sync.
func (g *groupHealth) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key != keyHeartbeat && key != keyJoin && key != keySync {
		return
	}
	if key != keyHeartbeat {
		g.joining.clear()
	}
	if e2e.Err() == nil {
		g.good.set(time.Now())
	}
}

// doubt is why dispatching should pause, or nil.
func (g *groupHealth) doubt(now time.Time) error {
	if asked, joining := g.joining.since(now); joining && asked <= joinLimit {
		return nil
	}
	if silence, known := g.good.since(now); known && silence > g.limit {
		return fmt.Errorf("no heartbeat answered for %s: the group may have given our partitions to another", silence.Round(time.Second))
	}
	return nil
}
