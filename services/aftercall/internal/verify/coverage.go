package verify

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// Gap is a partition whose log no longer reaches back to where the span begins.
type Gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Removed is how many offsets the log has lost at its beginning.
	Removed int64 `json:"removed"`
	// Starts is from when on it is whole.
	Starts time.Time `json:"starts_at"`
}

// gaps are the partitions of topics whose logs begin after from. A log that begins
// at offset 0 lacks nothing.
func (l *look) gaps(ctx context.Context, topics []string, from time.Time) ([]Gap, error) {
	cut := map[string]map[int32]int64{}
	for _, name := range topics {
		for p, start := range l.starts[name] {
			if start > 0 {
				if cut[name] == nil {
					cut[name] = map[int32]int64{}
				}
				cut[name][p] = start
			}
		}
	}
	if len(cut) == 0 {
		return nil, nil
	}
	aged, err := l.aged(ctx, cut)
	if err != nil {
		return nil, err
	}
	var gaps []Gap
	for _, name := range topics {
		first, err := firstTimes(ctx, l.c, name, cut[name], l.ends[name])
		if err != nil {
			return nil, err
		}
		for p, start := range cut[name] {
			starts, holds := first[p]
			if !holds {
				starts = l.now
			}
			// Where time alone removes records, what is gone is at least that old,
			// however late the oldest of what is left came.
			if kept := aged[name]; kept > 0 && l.now.Add(-kept).Before(starts) {
				starts = l.now.Add(-kept)
			}
			if starts.After(from) {
				gaps = append(gaps, Gap{name, p, start, starts})
			}
		}
	}
	return gaps, nil
}

// aged is how old the records of a topic have become when they are removed, for
// topics from which nothing else removes any.
func (l *look) aged(ctx context.Context, cut map[string]map[int32]int64) (map[string]time.Duration, error) {
	names := make([]string, 0, len(cut))
	for name := range cut {
		names = append(names, name)
	}
	configs, err := l.adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("asking how long topics keep records: %w", err)
	}
	out := map[string]time.Duration{}
	for _, rc := range configs {
		set := map[string]string{}
		for _, c := range rc.Configs {
			set[c.Key] = c.MaybeValue()
		}
		kept, err := strconv.ParseInt(set["retention.ms"], 10, 64)
		if err == nil && kept > 0 && (set["retention.bytes"] == "-1" || set["retention.bytes"] == "") {
			out[rc.Name] = time.Duration(kept) * time.Millisecond
		}
	}
	return out, nil
}

// firstTimes are the timestamps of the first record of each partition, from given
// offsets on. Partitions without any are left out.
func firstTimes(ctx context.Context, c kafka.Config, name string, from, ends map[int32]int64) (map[int32]time.Time, error) {
	at := map[int32]kgo.Offset{}
	for p, start := range from {
		if start < ends[p] {
			at[p] = kgo.NewOffset().At(start)
		}
	}
	first := map[int32]time.Time{}
	if len(at) == 0 {
		return first, nil
	}
	client, err := kgo.NewClient(append(c.Opts(), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(64<<10),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: at}))...)
	if err != nil {
		return nil, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	for len(first) < len(at) {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading the beginning of %s: %w", name, err)
		}
		for _, e := range fetches.Errors() {
			return nil, fmt.Errorf("reading the beginning of %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, have := first[r.Partition]; !have {
				first[r.Partition] = r.Timestamp
			}
		})
	}
	return first, nil
}

// offsetsOf turns listed offsets into a map.
func offsetsOf(listed kadm.ListedOffsets) map[string]map[int32]int64 {
	out := map[string]map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if out[o.Topic] == nil {
			out[o.Topic] = map[int32]int64{}
		}
		out[o.Topic][o.Partition] = o.Offset
	})
	return out
}
