package stream

import (
	"context"
	"time"
)

// Reasons of gaps.
const (
	// GapCoalesced is more at a time than the listener wanted or could take.
	GapCoalesced = "coalesced"
	// GapRetention is what Kafka has no more.
	GapRetention = "retention"
	// GapBehind is more than is caught up with.
	GapBehind = "behind"
	// GapUnknown is a place that is none of this history.
	GapUnknown = "unknown_position"
)

// Gap says that something was left out. Dropped counts rows that matched where
// they were coalesced, otherwise records of the history; 0 is unknown.
type Gap struct {
	Reason  string `json:"reason"`
	Dropped int64  `json:"dropped"`
}

// Event is one of a stream: an item or a gap, and the place after it.
type Event struct {
	ID   string
	Item *Item
	Gap  *Gap
}

// Request is what somebody wants to hear.
type Request struct {
	Filter Filter
	// Since is the id of the last event heard; empty begins with the present.
	Since string
	// Rows is the most rows at a time, 100 when 0.
	Rows int
}

// MaxRows bounds Request.Rows.
const MaxRows = 1000

// Listener is one stream. One goroutine uses it.
type Listener struct {
	hub    *Hub
	filter Filter
	rows   int
	// pos is the place up to which everything was told, nil before the first
	// Next. Ring records below seen are behind it.
	pos      Vector
	seen     uint64
	since    string
	resuming bool
	catch    *catchUp
	checks   uint64
}

// Listen joins the hub until ctx ends. It waits for patience until the history
// is being read. The error is ErrTooMany, ErrAway, ErrClosed or ctx's.
func (h *Hub) Listen(ctx context.Context, r Request, patience time.Duration) (*Listener, error) {
	if err := h.join(); err != nil {
		return nil, err
	}
	l := &Listener{hub: h, filter: r.Filter.cleaned(), rows: r.Rows, since: r.Since}
	if l.rows <= 0 {
		l.rows = 100
	}
	l.rows = min(l.rows, MaxRows)
	// The request's context always ends, whether the stream is served or not.
	context.AfterFunc(ctx, h.leave)
	h.heed(ctx)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		h.mu.Lock()
		closed, ready, changed := h.closed, h.ready, h.changed
		if ready && !closed {
			l.begin()
			h.mu.Unlock()
			return l, nil
		}
		h.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		select {
		case <-changed:
		case <-timeout.C:
			return nil, ErrAway
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// begin finds the first place. The caller holds the hub's lock.
func (l *Listener) begin() {
	l.checks = l.hub.checks
	if v, err := ParseVector(l.since); err == nil {
		l.pos, l.resuming = v, true
		return
	}
	l.pos, l.seen = l.hub.at.clone(), l.hub.next
}

// ID is the place up to which everything was told.
func (l *Listener) ID() string { return l.pos.String() }

// Next waits for what follows, until wake. It answers nothing when it was woken
// or asked to check who listens (checked is then false). more says that there is
// already more to ask for.
func (l *Listener) Next(ctx context.Context, wake <-chan time.Time) (events []Event, more bool, err error) {
	if l.since != "" && !l.resuming {
		l.since = ""
		return []Event{{ID: l.ID(), Gap: l.hub.out(&Gap{Reason: GapUnknown})}}, true, nil
	}
	l.since = ""
	if l.resuming {
		// Only now is it known whether the place is one of this history.
		gaps, err := l.verify(ctx)
		if err != nil {
			return nil, false, err
		}
		l.resuming = false
		if len(gaps) > 0 {
			return gaps, true, nil
		}
	}
	for {
		if l.catch != nil {
			events, err := l.caught(ctx)
			if err != nil || len(events) > 0 {
				return events, true, err
			}
			if woken(wake) {
				return nil, true, nil
			}
			continue
		}
		h := l.hub
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return nil, false, ErrClosed
		}
		changed, checks := h.changed, h.checks
		covered, items := l.fresh()
		target := h.at.clone()
		h.mu.Unlock()
		if covered && len(items) > 0 {
			if events := l.take(items); len(events) > 0 {
				return events, false, nil
			}
			continue
		}
		if !covered && target != nil {
			gaps, err := l.catchUp(ctx, target)
			if err != nil || len(gaps) > 0 {
				return gaps, true, err
			}
			continue
		}
		if checks != l.checks {
			return nil, false, nil
		}
		select {
		case <-changed:
		case <-wake:
			return nil, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func woken(wake <-chan time.Time) bool {
	select {
	case <-wake:
		return true
	default:
		return false
	}
}

// due says whether somebody asked to check who listens since the last time.
func (l *Listener) due() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	due := l.checks != l.hub.checks
	l.checks = l.hub.checks
	return due
}

// fresh answers the ring's records after the listener's place, and whether they
// are all that there is. The caller holds the hub's lock.
func (l *Listener) fresh() (covered bool, items []*Item) {
	h := l.hub
	if !h.ready {
		return false, nil
	}
	for p, from := range h.from {
		if at, known := l.pos[p]; !known || at < from {
			return false, nil
		}
	}
	begin := max(l.seen, h.oldest)
	if begin == h.next {
		return true, nil
	}
	items = make([]*Item, 0, h.next-begin)
	for n := begin; n < h.next; n++ {
		items = append(items, h.ring[n%uint64(len(h.ring))])
	}
	l.seen = h.next
	return true, items
}

// take makes events of records. Of too many rows it keeps the newest, and says
// how many it left out.
func (l *Listener) take(items []*Item) []Event {
	left := -l.rows
	for _, item := range items {
		if item.Offset >= l.pos[item.Partition] && l.filter.match(item) {
			left++
		}
	}
	return l.tell(items, max(left, 0))
}

// tell makes events of records but for the first ones that match.
func (l *Listener) tell(items []*Item, leave int) []Event {
	var events []Event
	left := 0
	for _, item := range items {
		if item.Offset < l.pos[item.Partition] {
			continue
		}
		l.pos[item.Partition] = item.Offset + 1
		if !l.filter.match(item) {
			continue
		}
		if left < leave {
			if left++; left == leave {
				events = append(events, Event{ID: l.ID(), Gap: l.hub.out(&Gap{Reason: GapCoalesced, Dropped: int64(leave)})})
			}
			continue
		}
		events = append(events, Event{ID: l.ID(), Item: item})
	}
	return events
}

// Close ends what Next began. Leaving the hub is the context's affair.
func (l *Listener) Close() {
	if l.catch != nil {
		l.catch.close()
		l.catch = nil
	}
}
