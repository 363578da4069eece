package core

import (
	"time"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
)

// endpoint is what the core knows of one subscription: its queues, what it
// holds, and when it last did well.
type endpoint struct {
	id string
	// live calls are served before replays.
	live, replay fifo
	turn         int
	inFlight     int
	// bytes held by jobs queued, posting and settling.
	bytes int
	// queuedIn counts queued jobs by partition.
	queuedIn map[int32]int
	// ready says that it stands in the ring.
	ready bool
	// sleepUntil keeps it out of the ring while its next record must wait.
	sleepUntil    time.Time
	lastSeen      time.Time
	lastDelivered time.Time
	// goneVersion is the subscription's version that answered 410.
	goneVersion int64
	// share of the subscription's concurrency that this sender may use.
	share      int
	shareOf    int
	shareEpoch int
}

func (e *endpoint) queued() int { return e.live.len() + e.replay.len() }

// replayTurn is how seldom a replay goes before a live call.
const replayTurn = 8

// lane is the queue to serve next.
func (e *endpoint) lane() *fifo {
	switch {
	case e.replay.len() == 0:
		return &e.live
	case e.live.len() == 0, e.turn%replayTurn == replayTurn-1:
		return &e.replay
	}
	return &e.live
}

func (e *endpoint) push(j *Job) {
	if isReplay(j) {
		e.replay.push(j)
	} else {
		e.live.push(j)
	}
	e.queuedIn[j.Partition]++
}

// unqueued notes that a job has left the queues.
func (e *endpoint) unqueued(j *Job) {
	if e.queuedIn[j.Partition]--; e.queuedIn[j.Partition] == 0 {
		delete(e.queuedIn, j.Partition)
	}
}

// oldest is when the longest queued job was admitted.
func (e *endpoint) oldest() (time.Time, bool) {
	l, r := e.live.peek(), e.replay.peek()
	switch {
	case l == nil && r == nil:
		return time.Time{}, false
	case r == nil || l != nil && l.admitted.Before(r.admitted):
		return l.admitted, true
	}
	return r.admitted, true
}

// limit is how many requests may be in flight to the subscription from here. A
// subscription's limit is global: its deliveries are keyed onto shards, and a
// sender uses the part that belongs to the shards it owns.
func (c *Core) limit(e *endpoint, sub *subscription.Subscription) int {
	limit := sub.MaxConcurrency
	if limit <= 0 {
		limit = subscription.DefaultMaxConcurrency
	}
	if e.shareOf == limit && e.shareEpoch == c.epoch {
		return e.share
	}
	shards := record.Shards(limit)
	share := 0
	for i := range shards {
		if _, ours := c.assignments[c.cfg.PartitionOf(record.ShardKeyAt(sub.ID, i))]; ours {
			share += limit / shards
			if i < limit%shards {
				share++
			}
		}
	}
	// A record may stand on a partition that its key no longer maps to, when
	// partitions were added or the limit was changed: it must still go out.
	e.share, e.shareOf, e.shareEpoch = max(share, 1), limit, c.epoch
	return e.share
}
