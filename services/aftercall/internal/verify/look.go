package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

const (
	// ahead is how much later than its event a CDR may say that it was produced,
	// before the events topic is read from its beginning.
	ahead = 15 * time.Minute
	// settling is how long a transaction that is open now may take to end: longer
	// than a broker lets a router's be open.
	settling = 45 * time.Second
)

// look is one look at the topics as they are at one moment: the groups' commits
// first, then the ends of the logs. What a commit has finished is in the logs
// then.
type look struct {
	c       kafka.Config
	adm     *kadm.Client
	now     time.Time
	sources []string
	commits Commits
	starts  map[string]map[int32]int64
	ends    map[string]map[int32]int64
	// settling is how long an open transaction is waited for.
	settling time.Duration
	// progress begins to show how a topic is read, and answers what is called with
	// the number of offsets passed; -1 ends it.
	progress func(name string, offsets int64) func(int64)
}

// internal are the topics that are read for what became of the CDRs, in the order
// in which the ledger needs them.
func internal() []string {
	return slices.Concat([]string{topic.Deliveries}, topic.DelayTopics(), []string{topic.GivenUp, topic.History})
}

// newLook looks up commits and ends. client must outlive it.
func newLook(ctx context.Context, c kafka.Config, client *kgo.Client, sources []string, settling time.Duration) (*look, error) {
	l := &look{c: c, adm: kadm.NewClient(client), now: time.Now(), sources: sources, commits: Commits{}, settling: settling, progress: func(string, int64) func(int64) { return func(int64) {} }}
	all := slices.Concat(sources, []string{topic.Subscriptions, topic.Events, topic.Rejected}, internal())
	if err := l.exist(ctx, all); err != nil {
		return nil, err
	}
	for _, group := range []string{topic.GroupRouter, topic.GroupSender, topic.GroupMover, topic.GroupProjector} {
		offsets, err := l.adm.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("asking what %s has committed: %w", group, err)
		}
		l.commits[group] = map[string]map[int32]int64{}
		offsets.Each(func(o kadm.OffsetResponse) {
			if l.commits[group][o.Topic] == nil {
				l.commits[group][o.Topic] = map[int32]int64{}
			}
			l.commits[group][o.Topic][o.Partition] = o.At
		})
	}
	starts, err := l.adm.ListStartOffsets(ctx, all...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking where logs begin: %w", err)
	}
	l.starts = offsetsOf(starts)
	return l, l.settle(ctx, all)
}

func (l *look) exist(ctx context.Context, names []string) error {
	there, err := l.adm.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var missing []string
	for _, name := range names {
		if t, ok := there[name]; !ok || t.Err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("topics that do not exist or cannot be read: %s", strings.Join(missing, ", "))
	}
	return nil
}

// settle waits until what is written now can be read: a broker writes the markers
// of one transaction partition by partition.
func (l *look) settle(ctx context.Context, names []string) error {
	written, err := l.adm.ListEndOffsets(ctx, names...)
	if err == nil {
		err = written.Error()
	}
	if err != nil {
		return fmt.Errorf("asking where logs end: %w", err)
	}
	l.ends = offsetsOf(written)
	for deadline := time.Now().Add(l.settling); ; {
		stable, err := l.adm.ListCommittedOffsets(ctx, names...)
		if err == nil {
			err = stable.Error()
		}
		if err != nil {
			return fmt.Errorf("asking where logs end: %w", err)
		}
		open := ""
		written.Each(func(end kadm.ListedOffset) {
			if at, _ := stable.Lookup(end.Topic, end.Partition); at.Offset < end.Offset {
				open = fmt.Sprintf("%s/%d", end.Topic, end.Partition)
			}
		})
		if open == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a transaction on %s has been open for more than %s: what was written after it cannot be read; "+
				"kafka-transactions find-hanging and abort end one whose owner is gone", open, l.settling)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// after are the offsets of the first records at or after a time, the ends where
// there are none.
func (l *look) after(ctx context.Context, t time.Time, names ...string) (map[string]map[int32]int64, error) {
	found, err := l.adm.ListOffsetsAfterMilli(ctx, t.UnixMilli(), names...)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("finding %s in the topics: %w", t.Format(time.RFC3339), err)
	}
	out := map[string]map[int32]int64{}
	for _, name := range names {
		out[name] = maps.Clone(l.ends[name])
		for p, end := range l.ends[name] {
			if o, ok := found.Lookup(name, p); ok && o.Offset >= 0 {
				out[name][p] = max(min(o.Offset, end), l.starts[name][p])
			}
		}
	}
	return out, nil
}

// read takes records of one topic into the ledger.
func (l *look) read(ctx context.Context, c *checker, name string, from, to map[int32]int64) error {
	total := int64(0)
	for p, end := range to {
		total += max(end-from[p], 0)
	}
	passed := l.progress(name, total)
	defer passed(-1)
	return broker.ReadRange(ctx, l.c, name, from, to, func(r *kgo.Record) error {
		c.record(r)
		passed(1)
		return nil
	})
}

// span takes everything into the ledger that is about the CDRs of a span.
func (l *look) span(ctx context.Context, c *checker, from, to time.Time) error {
	first, err := l.after(ctx, from, l.sources...)
	if err != nil {
		return err
	}
	last, err := l.after(ctx, to, l.sources...)
	if err != nil {
		return err
	}
	for _, name := range l.sources {
		c.upstream[name] = true
	}
	c.inScope = func(p Position) bool {
		start, read := first[p.Topic][p.Partition]
		return read && p.Offset >= start && p.Offset < last[p.Topic][p.Partition]
	}
	if err := l.read(ctx, c, topic.Subscriptions, l.starts[topic.Subscriptions], l.ends[topic.Subscriptions]); err != nil {
		return err
	}
	for _, name := range l.sources {
		if err := l.read(ctx, c, name, first[name], last[name]); err != nil {
			return err
		}
	}
	begin, err := l.routed(ctx, c, from)
	if err != nil {
		return err
	}
	began, err := l.after(ctx, begin, internal()...)
	if err != nil {
		return err
	}
	for _, name := range internal() {
		if err := l.read(ctx, c, name, began[name], l.ends[name]); err != nil {
			return err
		}
	}
	return nil
}

// routed takes in events and rejections, and answers a time before which nothing
// of them was sent.
func (l *look) routed(ctx context.Context, c *checker, from time.Time) (time.Time, error) {
	begin, names := from.Add(-ahead), []string{topic.Events, topic.Rejected}
	began, err := l.after(ctx, begin, names...)
	if err != nil {
		return begin, err
	}
	for _, name := range names {
		if err := l.read(ctx, c, name, began[name], l.ends[name]); err != nil {
			return begin, err
		}
	}
	if !c.unexplained() {
		return begin, nil
	}
	// The producers' clocks may be further ahead: nothing is called lost before
	// all of the log has been read.
	for _, name := range names {
		err := broker.ReadRange(ctx, l.c, name, l.starts[name], began[name], func(r *kgo.Record) error {
			before := len(c.events)
			c.record(r)
			if len(c.events) > before && r.Timestamp.Add(-time.Minute).Before(begin) {
				begin = r.Timestamp.Add(-time.Minute)
			}
			return nil
		})
		if err != nil {
			return begin, err
		}
	}
	return begin, nil
}

// unexplained says whether of some CDR that the router has passed nothing is
// known yet.
func (c *checker) unexplained() bool {
	known := map[Position]bool{}
	for _, e := range c.events {
		known[e.at] = true
	}
	for _, r := range c.rejections {
		for at := r.at; at.Offset <= r.last; at.Offset++ {
			known[at] = true
		}
	}
	for at, f := range c.cdrs {
		if f.there && !known[at] && c.commits.finished(topic.GroupRouter, at) {
			return true
		}
	}
	return false
}

var errNothing = errors.New("nothing of the span can be looked at")
