package broker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// ReadRange reads a topic's committed records from offsets (inclusive) to others
// (exclusive).
func ReadRange(ctx context.Context, c kafka.Config, name string, from, to map[int32]int64, fn func(*kgo.Record) error) error {
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	for p, end := range to {
		if from[p] < end {
			left[p], at[p] = end, kgo.NewOffset().At(from[p])
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(c.Opts(), kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: at}))...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := left[r.Partition]
			if !reading || failed != nil {
				return
			}
			if r.Offset < end && !r.Attrs.IsControl() {
				failed = fn(r)
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
