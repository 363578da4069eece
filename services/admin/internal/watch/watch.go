// Package watch tells Prometheus how far Kafka's readers are behind: the lag of
// each group, and since when a partition's last stable offset has not moved.
//
// It guarantees that figures it could not refresh disappear instead of standing
// still, and that the labels are groups and topics of Aftercall alone. Where there
// are several admins each says the same; rules take the largest.
package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
)

const (
	every    = 15 * time.Second
	patience = 10 * time.Second
)

// groups whose offsets are Kafka's; the projector's are in the store, and it
// says how far it is behind by itself.
var groups = []string{topic.GroupRouter, topic.GroupSender, topic.GroupMover}

// transactional are the topics that the router writes in transactions.
var transactional = []string{topic.Events, topic.Deliveries, topic.Rejected}

type partition struct {
	topic string
	id    int32
}

// stop is where a partition's last stable offset stopped with records behind it.
type stop struct {
	offset int64
	since  time.Time
}

// Watch measures now and then.
type Watch struct {
	admin  *kadm.Client
	client *kgo.Client
	logger *zap.Logger
	lag    *prometheus.GaugeVec
	stuck  *prometheus.GaugeVec
	stops  map[partition]stop
	// Last keeps what was measured last, when set.
	Last *Last
}

// New makes a watch; a nil registry keeps the figures to themselves.
func New(c kafka.Config, reg prometheus.Registerer, logger *zap.Logger) (*Watch, error) {
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return nil, fmt.Errorf("configuring the watch's Kafka client: %w", err)
	}
	f := promauto.With(reg)
	return &Watch{
		admin: kadm.NewClient(client), client: client, logger: logger, stops: map[partition]stop{},
		lag:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "aftercall_group_lag_records", Help: "Records that a consumer group has not committed yet, over all its topics; at rest the end of a transaction may stay in each partition."}, []string{"group"}),
		stuck: f.NewGaugeVec(prometheus.GaugeOpts{Name: "aftercall_last_stable_offset_stuck_seconds", Help: "How long the last stable offset of a topic's worst partition has stood still with records behind it."}, []string{"topic"}),
	}, nil
}

// Run measures until ctx ends. Nothing that goes wrong here ends a service.
func (w *Watch) Run(ctx context.Context) error {
	defer w.client.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := w.Measure(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.logger.Warn("lag.unknown", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Measure refreshes every figure, or takes it away.
func (w *Watch) Measure(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := Reading{At: now, Lags: map[string]int64{}, Markers: map[string]int64{}, Stuck: map[string]time.Duration{}}
	err := errors.Join(w.lags(ctx, r), w.stable(ctx, now, r))
	w.Last.put(r)
	return err
}

func (w *Watch) lags(ctx context.Context, r Reading) error {
	// A copy: Lag writes what it finds into the slice that it is given.
	lags, err := w.admin.Lag(ctx, Groups()...)
	if err != nil {
		w.lag.Reset()
		return fmt.Errorf("asking for the groups' lag: %w", err)
	}
	var faults []error
	for _, group := range groups {
		l, there := lags[group]
		switch {
		case !there, errors.Is(l.DescribeErr, kerr.GroupIDNotFound), errors.Is(l.FetchErr, kerr.GroupIDNotFound):
			// Nobody has begun to read yet.
			w.lag.DeleteLabelValues(group)
		case l.Error() != nil:
			w.lag.DeleteLabelValues(group)
			faults = append(faults, fmt.Errorf("asking for the lag of %s: %w", group, l.Error()))
		default:
			w.lag.WithLabelValues(group).Set(float64(l.Lag.Total()))
			r.Lags[group] = l.Lag.Total()
			for _, partitions := range l.Lag {
				r.Markers[group] += int64(len(partitions))
			}
		}
	}
	return errors.Join(faults...)
}

func (w *Watch) stable(ctx context.Context, now time.Time, r Reading) error {
	// In this order: an end that was asked for first would never lie behind.
	stable, err := w.admin.ListCommittedOffsets(ctx, transactional...)
	if err == nil {
		err = stable.Error()
	}
	var ends kadm.ListedOffsets
	if err == nil {
		if ends, err = w.admin.ListEndOffsets(ctx, transactional...); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		w.stuck.Reset()
		return fmt.Errorf("asking for last stable offsets: %w", err)
	}
	longest := map[string]time.Duration{}
	stable.Each(func(o kadm.ListedOffset) {
		p := partition{o.Topic, o.Partition}
		end, there := ends.Lookup(o.Topic, o.Partition)
		if !there || end.Offset <= o.Offset {
			delete(w.stops, p)
			return
		}
		if last, is := w.stops[p]; !is || last.offset != o.Offset {
			w.stops[p] = stop{o.Offset, now}
		}
		longest[o.Topic] = max(longest[o.Topic], now.Sub(w.stops[p].since))
	})
	for _, t := range slices.Sorted(slices.Values(transactional)) {
		w.stuck.WithLabelValues(t).Set(longest[t].Seconds())
		r.Stuck[t] = longest[t]
	}
	return nil
}
