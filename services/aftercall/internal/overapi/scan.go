package overapi

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// scanner reads parts of topics, one after the other.
type scanner struct {
	config kafka.Config
	adm    *kadm.Client
	since  time.Time
	// progress is told how many records of how many were read.
	progress func(topic string, done, all int64)
}

// span is a part of a partition: from, and to without it.
type span struct{ from, to int64 }

// spans are what was written to a topic since, up to what is committed now.
func (s *scanner) spans(ctx context.Context, topic string) (map[int32]span, error) {
	fail := func(err error) (map[int32]span, error) {
		return nil, fmt.Errorf("asking for the offsets of %s: %w", topic, err)
	}
	// In this order: retention may move a start between the questions.
	after, err := s.adm.ListOffsetsAfterMilli(ctx, s.since.UnixMilli(), topic)
	if err == nil {
		err = after.Error()
	}
	if err != nil {
		return fail(err)
	}
	starts, err := s.adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fail(err)
	}
	ends, err := s.adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fail(err)
	}
	all := map[int32]span{}
	ends.Each(func(end kadm.ListedOffset) {
		from := end.Offset
		if found, ok := after.Lookup(topic, end.Partition); ok && found.Offset >= 0 {
			from = found.Offset
		}
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			from = max(from, start.Offset)
		}
		all[end.Partition] = span{min(from, end.Offset), end.Offset}
	})
	return all, nil
}

// read calls do with every record of a topic since. keys leave only the
// partitions that they lead to; with none, all are read. It holds what is being
// fetched and nothing more.
func (s *scanner) read(ctx context.Context, topic string, keys []string, do func(*kgo.Record)) error {
	all, err := s.spans(ctx, topic)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		wanted := partitionsOf(topic, keys, len(all))
		for p := range all {
			if !slices.Contains(wanted, p) {
				delete(all, p)
			}
		}
	}
	return s.readSpans(ctx, topic, all, do)
}

// partitionsOf are where records with keys are written.
func partitionsOf(topic string, keys []string, partitions int) []int32 {
	place := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	var all []int32
	for _, k := range keys {
		all = append(all, int32(place.Partition(&kgo.Record{Key: []byte(k)}, partitions)))
	}
	return all
}

func (s *scanner) readSpans(ctx context.Context, topic string, all map[int32]span, do func(*kgo.Record)) error {
	from := map[int32]kgo.Offset{}
	var total, done int64
	for p, one := range all {
		if one.from < one.to {
			from[p] = kgo.NewOffset().At(one.from)
			total += one.to - one.from
		}
	}
	if len(from) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(s.config.Opts(), kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	for len(from) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, reading := from[r.Partition]; !reading {
				return
			}
			end := all[r.Partition].to
			if r.Offset < end {
				done++
				if !r.Attrs.IsControl() {
					do(r)
				}
			}
			if r.Offset >= end-1 {
				delete(from, r.Partition)
			}
		})
		s.progress(topic, done, total)
	}
	return nil
}
