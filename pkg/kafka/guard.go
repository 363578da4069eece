package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// ErrOffsets says that what a group has committed does not fit the log: going
// on would skip records or silently start anew.
var ErrOffsets = errors.New("committed offsets do not fit the log")

// bounds are the first offset of a partition's log and the one after its last.
type bounds struct{ start, end int64 }

// GuardOffsets returns the function for kgo.AdjustFetchOffsetsFn that compares
// what a group committed with the log as it is, before anything is read:
//
//   - committed beyond the log's end: the log was lost or made anew. stop is
//     called with an explanation, and nothing is read.
//   - committed before the log's start: the records between are gone. That is
//     logged as an error with their number, and reading goes on at the start.
//   - nothing committed, and the log starts after 0: where to begin is not ours
//     to guess. stop is called, unless StartAt says where.
//   - nothing committed otherwise: the start of the log, or StartAt.
//
// Listing the log's ends is tried until the context ends: an error here would
// lose the partitions for good. stop must end the process and must not block; it
// may be called more than once. Partitions that had nothing committed are given
// their exact offset, so that an aborted transaction falls back to it.
func (c Config) GuardOffsets(group string, stop func(error)) func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if stop == nil {
		stop = func(error) {}
	}
	return func(ctx context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
		if len(fetched) == 0 {
			return fetched, nil
		}
		adjusted, err := c.guard(ctx, group, fetched)
		if err != nil && ctx.Err() == nil {
			stop(err)
		}
		return adjusted, err
	}
}

func (c Config) guard(ctx context.Context, group string, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	startAt, err := ParseStartAt(c.StartAt)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)

	topics := make([]string, 0, len(fetched))
	for t := range fetched {
		topics = append(topics, t)
	}
	sort.Strings(topics)
	var ends map[string]map[int32]bounds
	var chosen map[string]map[int32]int64
	if err := untilDone(ctx, func() (err error) {
		ends, chosen, err = list(ctx, adm, topics, startAt)
		return err
	}, func(err error) { c.logger().Warn("offsets.list.failed", zap.Error(err)) }); err != nil {
		return nil, fmt.Errorf("listing offsets: %w", err)
	}

	adjusted := make(map[string]map[int32]kgo.Offset, len(fetched))
	var refused []error
	for _, t := range topics {
		adjusted[t] = make(map[int32]kgo.Offset, len(fetched[t]))
		partitions := make([]int32, 0, len(fetched[t]))
		for p := range fetched[t] {
			partitions = append(partitions, p)
		}
		slices.Sort(partitions)
		for _, p := range partitions {
			offset := fetched[t][p]
			at := offset.EpochOffset().Offset
			b, known := ends[t][p]
			switch {
			case !known:
				// Assigned, but not in the listing: the topic changed under
				// us. The fetch itself will tell.
				adjusted[t][p] = offset
			case at >= 0 && at > b.end:
				refused = append(refused, fmt.Errorf("group %s committed offset %d of %s/%d, but that log ends at %d: the topic was deleted and made again, or lost data; "+
					"check the broker, then set the group's offset by hand (kafka-consumer-groups --group %s --topic %s:%d --reset-offsets --to-earliest --execute)",
					group, at, t, p, b.end, group, t, p))
			case at >= 0 && at < b.start:
				c.logger().Error("offsets.gap", zap.String("group", group), zap.String("topic", t), zap.Int32("partition", p),
					zap.Int64("committed", at), zap.Int64("log_start", b.start), zap.Int64("lost", b.start-at))
				adjusted[t][p] = kgo.NewOffset().At(b.start)
			case at >= 0:
				adjusted[t][p] = offset
			case startAt.set:
				first := chosen[t][p]
				c.logger().Warn("offsets.started", zap.String("group", group), zap.String("topic", t), zap.Int32("partition", p),
					zap.Int64("offset", first), zap.Int64("log_start", b.start), zap.Int64("log_end", b.end), zap.String("start_at", c.StartAt))
				adjusted[t][p] = kgo.NewOffset().At(first)
			case b.start > 0:
				refused = append(refused, fmt.Errorf("group %s has nothing committed for %s/%d, whose log starts at %d, not 0: either its offsets expired or it is new here; "+
					"set AFTERCALL_START_AT to earliest, latest or a time (RFC 3339) for one start", group, t, p, b.start))
			default:
				adjusted[t][p] = kgo.NewOffset().At(b.start)
			}
		}
	}
	if len(refused) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrOffsets, errors.Join(refused...))
	}
	return adjusted, nil
}

// untilDone tries f, with growing pauses, until it succeeds or ctx ends.
func untilDone(ctx context.Context, f func() error, failed func(error)) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f()
		if err == nil {
			return nil
		}
		failed(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func list(ctx context.Context, adm *kadm.Client, topics []string, startAt StartAt) (map[string]map[int32]bounds, map[string]map[int32]int64, error) {
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing start offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing end offsets: %w", err)
	}
	all := make(map[string]map[int32]bounds, len(topics))
	chosen := make(map[string]map[int32]int64, len(topics))
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok {
			return
		}
		if all[end.Topic] == nil {
			all[end.Topic], chosen[end.Topic] = map[int32]bounds{}, map[int32]int64{}
		}
		all[end.Topic][end.Partition] = bounds{start.Offset, end.Offset}
		switch {
		case startAt.latest:
			chosen[end.Topic][end.Partition] = end.Offset
		default:
			chosen[end.Topic][end.Partition] = start.Offset
		}
	})
	if !startAt.time.IsZero() {
		after, err := adm.ListOffsetsAfterMilli(ctx, startAt.time.UnixMilli(), topics...)
		if err == nil {
			err = after.Error()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("listing offsets after %s: %w", startAt.time.Format(time.RFC3339), err)
		}
		after.Each(func(o kadm.ListedOffset) {
			if chosen[o.Topic] != nil && o.Offset >= 0 {
				chosen[o.Topic][o.Partition] = o.Offset
			}
		})
	}
	return all, chosen, nil
}

// StartAt is where a group begins that never committed.
type StartAt struct {
	set    bool
	latest bool
	time   time.Time
}

// ParseStartAt reads "earliest", "latest", an RFC 3339 time, or "" for no choice.
func ParseStartAt(s string) (StartAt, error) {
	switch s {
	case "":
		return StartAt{}, nil
	case "earliest":
		return StartAt{set: true}, nil
	case "latest":
		return StartAt{set: true, latest: true}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return StartAt{}, fmt.Errorf("AFTERCALL_START_AT is %q: want earliest, latest or a time such as 2026-01-31T08:00:00Z", s)
	}
	return StartAt{set: true, time: t}, nil
}
