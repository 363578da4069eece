package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/topic"
)

const (
	listPatience = 10 * time.Second
	newEvery     = time.Minute
)

// read follows the history from its end, until ctx ends or reading on is
// impossible.
func (h *Hub) read(ctx context.Context) error {
	client, err := kgo.NewClient(append(h.o.Kafka.Opts(), kgo.KeepControlRecords())...)
	if err != nil {
		return fmt.Errorf("configuring the history's reader: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	begin, err := ends(ctx, adm)
	if err != nil {
		return err
	}
	h.begin(begin, adm)
	client.AddConsumePartitions(consume(begin))
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.watch(watching, adm, client)
	}()
	defer func() { stop(); <-ended }()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if final(e.Err) {
				return fmt.Errorf("reading the history: %w", e.Err)
			}
			h.o.Logger.Warn("stream.read.failed", zap.Int32("partition", e.Partition), zap.Error(e.Err))
		}
		items, after := h.decode(ctx, fetches)
		h.add(items, after)
	}
}

// decode makes items of what was fetched, and says how far that goes.
func (h *Hub) decode(ctx context.Context, fetches kgo.Fetches) (items []*Item, after Vector) {
	after = Vector{}
	h.names.refresh(ctx, false)
	h.heed(ctx)
	unknown := false
	fetches.EachRecord(func(r *kgo.Record) {
		after[r.Partition] = r.Offset + 1
		if item := decode(r, h.names.of); item != nil {
			items = append(items, h.erased.of(item))
			unknown = unknown || item.Attempt.SubscriptionName == ""
		}
	})
	if unknown {
		h.names.refresh(ctx, true)
		for _, item := range items {
			if item.Attempt.SubscriptionName == "" {
				item.Attempt.SubscriptionName = h.names.of(item.Attempt.SubscriptionID)
			}
		}
	}
	return items, after
}

// watch looks for partitions that are made while the history is read.
func (h *Hub) watch(ctx context.Context, adm *kadm.Client, client *kgo.Client) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(newEvery):
		}
		all, err := starts(ctx, adm)
		if err != nil {
			continue // the next look will do
		}
		h.mu.Lock()
		known := h.at.clone()
		h.mu.Unlock()
		for p, offset := range all {
			if _, is := known[p]; !is {
				h.extend(p, offset)
				client.AddConsumePartitions(consume(Vector{p: offset}))
			}
		}
	}
}

func consume(v Vector) map[string]map[int32]kgo.Offset {
	partitions := make(map[int32]kgo.Offset, len(v))
	for p, offset := range v {
		partitions[p] = kgo.NewOffset().At(offset)
	}
	return map[string]map[int32]kgo.Offset{topic.History: partitions}
}

// ends is the place after everything that can be read.
func ends(ctx context.Context, adm *kadm.Client) (Vector, error) {
	return listed(ctx, "end", adm.ListCommittedOffsets)
}

// starts is the place before everything that is kept.
func starts(ctx context.Context, adm *kadm.Client) (Vector, error) {
	return listed(ctx, "start", adm.ListStartOffsets)
}

func listed(ctx context.Context, what string, list func(context.Context, ...string) (kadm.ListedOffsets, error)) (Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	answer, err := list(ctx, topic.History)
	if err == nil {
		err = answer.Error()
	}
	if err == nil && len(answer[topic.History]) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return nil, fmt.Errorf("asking where the history has its %s: %w", what, err)
	}
	v := Vector{}
	answer.Each(func(o kadm.ListedOffset) { v[o.Partition] = o.Offset })
	return v, nil
}

// final says that no later poll of this client can succeed.
func final(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) || errors.Is(err, kgo.ErrClientClosed) ||
		errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicOrPartition) ||
		errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.SaslAuthenticationFailed)
}
