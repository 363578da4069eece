package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// Begin carries StartAt out, once: the partitions of the topics for which the
// group has committed nothing are committed at the place it names, before the
// first member joins. What is committed later, record by record, does not reach a
// partition without traffic; without this its place would be chosen anew at each
// start, and "latest" would then skip what came in between.
//
// Without StartAt it does nothing. A group that has members began before, and is
// left alone. Kafka's absence is waited out until ctx ends.
func (c Config) Begin(ctx context.Context, group string, topics []string) error {
	startAt, err := ParseStartAt(c.StartAt)
	if err != nil || !startAt.set {
		return err
	}
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if err := untilDone(ctx, func() error { return c.begin(ctx, adm, group, topics, startAt) }, func(err error) {
		c.logger().Warn("offsets.begin.failed", zap.String("group", group), zap.Error(err))
	}); err != nil {
		return fmt.Errorf("committing where the group %s begins: %w", group, err)
	}
	return nil
}

func (c Config) begin(ctx context.Context, adm *kadm.Client, group string, topics []string, startAt StartAt) error {
	committed, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("reading the group's offsets: %w", err)
	}
	_, chosen, err := list(ctx, adm, topics, startAt)
	if err != nil {
		return err
	}
	missing := kadm.Offsets{}
	for t, partitions := range chosen {
		for p, at := range partitions {
			if known, ok := committed.Lookup(t, p); !ok || known.At < 0 {
				missing.AddOffset(t, p, at, -1)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	answers, err := adm.CommitOffsets(ctx, group, missing)
	if err == nil {
		err = answers.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration):
		c.logger().Info("offsets.begin.skipped", zap.String("group", group), zap.String("why", "the group has members"))
		return nil
	case err != nil:
		return fmt.Errorf("committing the group's first offsets: %w", err)
	}
	missing.Each(func(o kadm.Offset) {
		c.logger().Warn("offsets.began", zap.String("group", group), zap.String("topic", o.Topic), zap.Int32("partition", o.Partition),
			zap.Int64("offset", o.At), zap.String("start_at", c.StartAt))
	})
	return nil
}
