package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	catchPoll     = time.Second
	catchPatience = 15 * time.Second
)

// ErrSlow says that Kafka did not give what it has in time.
var ErrSlow = errors.New("the history does not answer")

// catchUp reads for one listener what memory has no more.
type catchUp struct {
	client *kgo.Client
	// target is where memory goes on.
	target Vector
	heard  time.Time
	let    func()
}

func (c *catchUp) close() {
	c.client.Close()
	c.let()
}

// verify holds a place that somebody came back with against the log. What it
// cannot go on from becomes gaps, and the place moves.
func (l *Listener) verify(ctx context.Context) ([]Event, error) {
	l.hub.mu.Lock()
	adm, held := l.hub.adm, l.held()
	l.hub.mu.Unlock()
	if held {
		return nil, nil
	}
	if adm == nil {
		return nil, ErrSlow // it begins anew: so does whoever comes back
	}
	// In this order: a start that was asked for last may lie beyond the end.
	first, err := starts(ctx, adm)
	if err != nil {
		return nil, err
	}
	last, err := ends(ctx, adm)
	if err != nil {
		return nil, err
	}
	var expired int64
	unknown := false
	for p := range l.pos {
		if _, is := last[p]; !is {
			delete(l.pos, p)
			unknown = true
		}
	}
	for p, end := range last {
		at, known := l.pos[p]
		switch {
		case !known: // made since
			l.pos[p] = first[p]
		case at > end:
			l.pos[p] = end
			unknown = true
		case at < first[p]:
			expired += first[p] - at
			l.pos[p] = first[p]
		}
	}
	var gaps []Event
	if unknown {
		gaps = append(gaps, Event{Gap: l.hub.out(&Gap{Reason: GapUnknown})})
	}
	if expired > 0 {
		gaps = append(gaps, Event{Gap: l.hub.out(&Gap{Reason: GapRetention, Dropped: expired})})
	}
	for i := range gaps {
		gaps[i].ID = l.ID()
	}
	return gaps, nil
}

// held says that everything after the place is in memory: then it is one of this
// history. The caller holds the hub's lock.
func (l *Listener) held() bool {
	for p, from := range l.hub.from {
		if at, known := l.pos[p]; !known || at < from || at > l.hub.at[p] {
			return false
		}
	}
	return l.hub.ready && len(l.pos) == len(l.hub.from)
}

// catchUp begins to read up to the target, unless that is too much.
func (l *Listener) catchUp(ctx context.Context, target Vector) ([]Event, error) {
	if missed := l.pos.behind(target); missed > l.hub.o.Behind {
		for p, at := range target {
			l.pos[p] = max(l.pos[p], at)
		}
		return []Event{{ID: l.ID(), Gap: l.hub.out(&Gap{Reason: GapBehind, Dropped: missed})}}, nil
	}
	// A few at a time: each holds what a fetch brings.
	select {
	case l.hub.catches <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(catchPatience):
		return nil, ErrSlow
	}
	let := func() { <-l.hub.catches }
	from := Vector{}
	for p, at := range target {
		if l.pos[p] < at {
			from[p] = l.pos[p]
		}
	}
	if len(from) == 0 {
		// Partitions without a record since they were made.
		for p, at := range target {
			l.pos[p] = max(l.pos[p], at)
		}
		let()
		return nil, nil
	}
	client, err := kgo.NewClient(append(l.hub.o.Kafka.Opts(), kgo.KeepControlRecords(), kgo.MaxConcurrentFetches(1), kgo.FetchMaxBytes(1<<20))...)
	if err != nil {
		let()
		return nil, fmt.Errorf("configuring the history's reader: %w", err)
	}
	client.AddConsumePartitions(consume(from))
	l.catch = &catchUp{client: client, target: target, heard: time.Now(), let: let}
	return nil, nil
}

// caught tells what one poll brought, and ends the catching up when it is at
// its target. Nothing is left out here: the listener's pace is Kafka's.
func (l *Listener) caught(ctx context.Context) ([]Event, error) {
	c := l.catch
	poll, cancel := context.WithTimeout(ctx, catchPoll)
	fetches := c.client.PollRecords(poll, l.rows)
	cancel()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) {
			continue
		}
		if final(e.Err) {
			return nil, fmt.Errorf("reading the history again: %w", e.Err)
		}
	}
	items, after := l.hub.decode(ctx, fetches)
	within := items[:0]
	for _, item := range items {
		if item.Offset < c.target[item.Partition] {
			within = append(within, item)
		}
	}
	events := l.tell(within, 0)
	if len(after) > 0 {
		c.heard = time.Now()
	} else if time.Since(c.heard) > catchPatience {
		return nil, ErrSlow
	}
	for p, offset := range after {
		// What is no item moves the place as well.
		l.pos[p] = max(l.pos[p], min(offset, c.target[p]))
	}
	if l.pos.behind(c.target) == 0 {
		l.Close()
	}
	return events, nil
}
