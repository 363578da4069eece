package embedded

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
	measureEvery = 2 * time.Second
	sweepEvery   = time.Minute
	// hurry is the pause between two sweeps while there is too much.
	hurry = 10 * time.Second
	// youngest is the least share of its retention that a topic keeps before all
	// that has been read goes.
	youngest = 1.0 / 1024
)

// Tend keeps the broker within its limits until ctx ends: it deletes what is
// older than a topic's retention, or sooner when the data grows too large, and
// refuses new CDRs while there is no room. It never deletes what one of the
// readers has yet to read, nor the last record of a partition, for an empty log
// would begin again at offset 0 after a restart. report is told what is wrong,
// nil when nothing is.
func (b *Broker) Tend(ctx context.Context, report func(error)) error {
	if b.config.Dir == "" {
		<-ctx.Done()
		return nil
	}
	client, err := kgo.NewClient(b.Kafka().Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	j := &janitor{broker: b, adm: kadm.NewClient(client), report: report, log: b.config.Logger}
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	var swept time.Time
	for {
		err := j.watch(ctx)
		if since := time.Since(swept); err == nil && (since >= sweepEvery || since >= hurry && j.room.crowded()) {
			swept, err = time.Now(), j.sweep(ctx, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			j.log.Warn("broker.not_tended", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

type janitor struct {
	broker *Broker
	adm    *kadm.Client
	report func(error)
	log    *zap.Logger
	room   room
}

// watch measures and opens or closes the gate.
func (j *janitor) watch(ctx context.Context) error {
	var err error
	if j.room, err = measure(j.broker.config.Dir, j.broker.config.Limits); err != nil {
		return err
	}
	gate := &j.broker.gate
	was := gate.closed.Load()
	noRoom := j.room.err(was)
	if noRoom != nil && !was {
		if err := j.learn(ctx); err != nil {
			return err
		}
		j.log.Error("cdr.refused", zap.Error(noRoom))
	}
	if noRoom == nil && was {
		j.log.Info("cdr.accepted_again")
	}
	gate.closed.Store(noRoom != nil)
	j.report(noRoom)
	return nil
}

// learn asks for the ids of the CDR topics.
func (j *janitor) learn(ctx context.Context) error {
	topics, err := j.adm.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	ids := map[[16]byte]bool{}
	for name, t := range topics {
		if isUpstream(name) {
			ids[t.ID] = true
		}
	}
	j.broker.gate.upstream.Store(&ids)
	return nil
}

// sweep deletes what is too old, and what is younger while there is too much.
func (j *janitor) sweep(ctx context.Context, now time.Time) error {
	for share := 1.0; ; share /= 2 {
		if share < youngest {
			share = 0
		}
		if err := j.trim(ctx, now, share); err != nil {
			return err
		}
		var err error
		if j.room, err = measure(j.broker.config.Dir, j.broker.config.Limits); err != nil {
			return err
		}
		if share == 0 || !j.room.crowded() {
			return nil
		}
	}
}

// trim deletes what is older than a share of each topic's retention and has been
// read by the part of the pipeline that reads it.
func (j *janitor) trim(ctx context.Context, now time.Time, share float64) error {
	names := map[time.Duration][]string{}
	var all []string
	for _, s := range topic.All() {
		if s.Retention > 0 {
			names[s.Retention] = append(names[s.Retention], s.Name)
			all = append(all, s.Name)
		}
	}
	read, err := j.read(ctx)
	if err != nil {
		return err
	}
	starts, err := j.adm.ListStartOffsets(ctx, all...)
	if err != nil {
		return fmt.Errorf("asking where logs begin: %w", err)
	}
	stable, err := j.adm.ListCommittedOffsets(ctx, all...)
	if err != nil {
		return fmt.Errorf("asking where logs end: %w", err)
	}
	offsets := kadm.Offsets{}
	for retention, topics := range names {
		cutoff := now.Add(-time.Duration(float64(retention) * share))
		young, err := j.adm.ListOffsetsAfterMilli(ctx, cutoff.UnixMilli(), topics...)
		if err != nil {
			return fmt.Errorf("asking what is older than %s: %w", cutoff, err)
		}
		young.Each(func(o kadm.ListedOffset) {
			start, _ := starts.Lookup(o.Topic, o.Partition)
			end, _ := stable.Lookup(o.Topic, o.Partition)
			if o.Err != nil || start.Err != nil || end.Err != nil {
				return // made or deleted just now
			}
			// The last record stays.
			to := min(o.Offset, end.Offset-1)
			if o.Topic != topic.GivenUp { // which nobody reads until somebody replays it
				to = min(to, read[o.Topic][o.Partition])
			}
			if to > start.Offset {
				offsets.AddOffset(o.Topic, o.Partition, to, -1)
			}
		})
	}
	if len(offsets) == 0 {
		return nil
	}
	answers, err := j.adm.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("deleting old records: %w", err)
	}
	return nil
}

// read is, for each partition, how far the pipeline has come: zero where it has
// not committed.
func (j *janitor) read(ctx context.Context) (map[string]map[int32]int64, error) {
	out := map[string]map[int32]int64{}
	for _, commits := range j.adm.FetchManyOffsets(ctx, topic.GroupRouter, topic.GroupSender, topic.GroupMover, topic.GroupProjector) {
		if errors.Is(commits.Err, kerr.GroupIDNotFound) {
			continue // it has never run
		}
		if commits.Err != nil {
			return nil, fmt.Errorf("asking what %s has read: %w", commits.Group, commits.Err)
		}
		commits.Fetched.Each(func(o kadm.OffsetResponse) {
			if o.At < 0 {
				return
			}
			if out[o.Topic] == nil {
				out[o.Topic] = map[int32]int64{}
			}
			at, known := out[o.Topic][o.Partition]
			if !known || o.At < at {
				out[o.Topic][o.Partition] = o.At
			}
		})
	}
	return out, nil
}
