package erase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
)

const (
	// patience with Kafka's answers.
	patience = 10 * time.Second
	// late is how long after its CDR the router may write what it made of it.
	late = 24 * time.Hour
)

// Topics are Kafka's topics. Embedded is the broker that keeps by its own rules.
type Topics struct {
	Client   *kgo.Client
	Embedded bool
}

// Of asks Kafka. A record goes with the whole of its log segment, so it may outlast
// the topic's retention by the time that a segment is written to (segment.ms).
func (t Topics) Of(ctx context.Context, until time.Time) ([]store.ErasureCopy, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	admin := kadm.NewClient(t.Client)
	specs, err := t.specs(ctx, admin)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	var out []store.ErasureCopy
	for _, s := range specs {
		c, err := configs.On(s.Name, nil)
		if err == nil {
			err = c.Err
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // no topic, no copy
		}
		if errors.Is(err, kerr.TopicAuthorizationFailed) {
			// A topic of another name, to which only router and upstream have a right.
			out = append(out, store.ErasureCopy{Topic: s.Name, Upstream: s.Upstream, Unknown: true})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("describing topic %s: %w", s.Name, err)
		}
		keeps, segment := milliseconds(c, "retention.ms"), max(milliseconds(c, "segment.ms"), 0)
		if t.Embedded && keeps < 0 && s.Retention > 0 {
			// It deletes what is old and read, by the same periods.
			keeps, segment = s.Retention, 0
		}
		copied := store.ErasureCopy{Topic: s.Name, Upstream: s.Upstream, Retention: keeps}
		if keeps >= 0 {
			copied.GoneBy = until.Add(writtenUntil(s) + keeps + segment).Add(time.Minute).Truncate(time.Minute)
		}
		out = append(out, copied)
	}
	return out, nil
}

// specs are the topics that hold what was said about a call. The router's group has
// offsets of every topic that it reads, those of other names too.
func (t Topics) specs(ctx context.Context, admin *kadm.Client) ([]topic.Spec, error) {
	var out []topic.Spec
	known := map[string]bool{}
	for _, s := range topic.All() {
		known[s.Name] = true
		if s.Name != topic.Subscriptions && s.Name != topic.CDRSystem {
			out = append(out, s)
		}
	}
	offsets, err := admin.FetchOffsets(ctx, topic.GroupRouter)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("asking what the router reads: %w", err)
	}
	var others []string
	for name := range offsets {
		if !known[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for i, name := range others {
		out = slices.Insert(out, i, topic.Spec{Name: name, Upstream: true})
	}
	return out, nil
}

// writtenUntil is how long after an erasure a topic may still get what was produced
// before it.
func writtenUntil(s topic.Spec) time.Duration {
	switch {
	case s.Upstream:
		return 0
	case s.Name == topic.Events || s.Name == topic.Rejected:
		return late
	}
	// What waits is written again with each attempt.
	return store.MinHistory
}

// milliseconds is a setting, -1 where it is not there.
func milliseconds(c kadm.ResourceConfig, key string) time.Duration {
	for _, s := range c.Configs {
		if s.Key == key && s.Value != nil {
			if n, err := strconv.ParseInt(*s.Value, 10, 64); err == nil && n >= 0 {
				const longest = int64(100 * 365 * 24 * time.Hour / time.Millisecond)
				return time.Duration(min(n, longest)) * time.Millisecond
			}
		}
	}
	return -1
}
