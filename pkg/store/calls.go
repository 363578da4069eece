package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
)

// Limits of what Call answers.
const (
	// MaxCallEvents is how many records one answer holds.
	MaxCallEvents = 200
	// CallWindow is within which two records that share an id belong to one call:
	// producers may use an id again.
	CallWindow = 24 * time.Hour

	maxCallRows = 5000
)

// Call is everything known of one call: the records that name id as CallId,
// ScenarioId or ParentId, and those that share any of these ids with one of
// them, directly or through others, each within CallWindow of the next; in the
// order of their tree, with their deliveries and attempts, oldest first.
// ErrNotFound says that no record names id.
func (d *DB) Call(ctx context.Context, id string) (*Call, error) {
	out := &Call{Deliveries: []Delivery{}, Attempts: []Attempt{}}
	legs, err := d.closure(ctx, CleanID(id), out)
	if err != nil {
		return nil, err
	}
	if len(legs) == 0 {
		return nil, ErrNotFound
	}
	ids := make([]any, len(legs))
	for i, l := range legs {
		ids[i] = l.eventID
	}
	events, err := d.eventDetails(ctx, `e.event_id in (`+marks(len(ids))+`)`, ids, len(ids))
	if err != nil {
		return nil, err
	}
	out.Events = tree(events)
	return out, d.callRows(ctx, out)
}

// leg is what the closure needs to know of a record.
type leg struct {
	eventID string
	at      time.Time
	ids     [3]string
}

// links says that two records belong together.
func (l leg) links(o leg) bool {
	apart := l.at.Sub(o.at).Abs()
	return apart <= CallWindow && slices.ContainsFunc(l.ids[:], func(id string) bool { return linking(id) && slices.Contains(o.ids[:], id) })
}

// linking says that a text is an id, and no word for none.
func linking(id string) bool { return id != "" && id != "Null" && id != "null" }

// closure finds the records of a call, breadth first.
func (d *DB) closure(ctx context.Context, id string, out *Call) ([]leg, error) {
	if !linking(id) {
		return nil, nil
	}
	frontier, err := d.legs(ctx, []any{id}, time.Time{}, time.Time{}, MaxCallEvents+1)
	if err != nil {
		return nil, err
	}
	if len(frontier) > MaxCallEvents {
		frontier, out.Truncated = frontier[:MaxCallEvents], true
	}
	return grow(ctx, d.legs, frontier, out)
}

// looker finds records that name one of ids.
type looker func(ctx context.Context, ids []any, from, to time.Time, limit int) ([]leg, error)

// grow adds to records those that belong to one call with them.
func grow(ctx context.Context, look looker, frontier []leg, out *Call) ([]leg, error) {
	all := slices.Clone(frontier)
	seen := map[string]bool{}
	for _, l := range all {
		seen[l.eventID] = true
	}
	for len(frontier) > 0 && !out.Truncated {
		asked := map[string]bool{}
		var ids []any
		from, to := frontier[0].at, frontier[0].at
		for _, l := range frontier {
			if l.at.Before(from) {
				from = l.at
			}
			if l.at.After(to) {
				to = l.at
			}
			for _, id := range l.ids {
				if linking(id) && !asked[id] {
					asked[id] = true
					ids = append(ids, id)
				}
			}
		}
		// To includes its end, which between leaves out.
		const limit = 4 * MaxCallEvents
		found, err := look(ctx, ids, from.Add(-CallWindow), to.Add(CallWindow+time.Microsecond), limit)
		if err != nil {
			return nil, err
		}
		out.Truncated = len(found) == limit
		var next []leg
		for _, l := range found {
			if seen[l.eventID] || !slices.ContainsFunc(frontier, l.links) {
				continue
			}
			if len(all) == MaxCallEvents {
				out.Truncated = true
				break
			}
			seen[l.eventID] = true
			all, next = append(all, l), append(next, l)
		}
		frontier = next
	}
	return all, nil
}

// legs are records that name one of ids, newest first.
func (d *DB) legs(ctx context.Context, ids []any, from, to time.Time, limit int) ([]leg, error) {
	var out []leg
	text, args := legsText(d.engine.Time, ids, from, to, limit)
	err := d.read(ctx, text, args, func(rows *sql.Rows) error {
		l, err := scanLeg(rows)
		out = append(out, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the records of a call: %w", err)
	}
	return out, nil
}

func legsText(stamp func(time.Time) any, ids []any, from, to time.Time, limit int) (text string, args []any) {
	args = slices.Clone(ids)
	in := marks(len(ids))
	// A union rather than an or: each part has its own index.
	text = `select e.event_id, e.occurred_at, e.call_id, e.scenario_id, e.parent_id from events e where e.event_id in (
		select event_id from events where call_id in (` + in + `) and call_id <> ''
		union select event_id from events where scenario_id in (` + in + `) and scenario_id <> ''
		union select event_id from events where parent_id in (` + in + `) and parent_id <> '')`
	for _, end := range []struct {
		condition string
		at        time.Time
	}{{" and e.occurred_at >= ", from}, {" and e.occurred_at < ", to}} {
		if !end.at.IsZero() {
			args = append(args, stamp(end.at))
			text += end.condition + "$" + strconv.Itoa(len(args))
		}
	}
	return text + fmt.Sprintf(` order by e.occurred_at desc, e.event_id limit %d`, limit), args
}

func scanLeg(r Row) (l leg, err error) {
	err = r.Scan(&l.eventID, instant{&l.at}, &l.ids[0], &l.ids[1], &l.ids[2])
	return l, err
}

// tree orders records so that each follows its parent, roots and children by
// time. A record's parent is the one whose CallId is its ParentId, the nearest in
// time; one that names none and only adds to a leg (a recording, what Aftercall
// tells about it) stands under that leg. Where parents go in a circle, the
// oldest becomes a root.
func tree(events []EventDetail) []CallEvent {
	sortEvents(events)
	byCall := map[string][]int{}
	for i, e := range events {
		if linking(e.CallID) && !adds(e.EventType) {
			byCall[e.CallID] = append(byCall[e.CallID], i)
		}
	}
	parent := make([]int, len(events))
	for i, e := range events {
		parent[i] = -1
		of := e.ParentID
		if of == "" && adds(e.EventType) {
			of = e.CallID
		}
		nearest := CallWindow + 1
		for _, j := range byCall[of] {
			if apart := events[j].OccurredAt.Sub(e.OccurredAt).Abs(); j != i && apart < nearest {
				nearest, parent[i] = apart, j
			}
		}
	}
	for i := range parent {
		for steps, j := 0, parent[i]; j >= 0 && steps <= len(parent); steps, j = steps+1, parent[j] {
			if j == i {
				parent[i] = -1
				break
			}
		}
	}
	children := map[int][]int{}
	for i, p := range parent {
		children[p] = append(children[p], i)
	}
	out := make([]CallEvent, 0, len(events))
	var walk func(of, depth int)
	walk = func(of, depth int) {
		for _, i := range children[of] {
			e := CallEvent{EventDetail: events[i], Depth: depth}
			if of >= 0 {
				e.ParentEventID = events[of].EventID
			}
			out = append(out, e)
			walk(i, depth+1)
		}
	}
	walk(-1, 0)
	return out
}

// adds says that records of a type are no legs of their own.
func adds(eventType string) bool {
	return eventType == topic.TypeRecording || topic.IsSystem(eventType)
}

func (d *DB) callRows(ctx context.Context, c *Call) error {
	ids := make([]any, len(c.Events))
	for i := range c.Events {
		ids[i] = c.Events[i].EventID
	}
	in := marks(len(ids))
	deliveries, err := d.deliveries(ctx, ` where d.event_id in (`+in+`) order by d.queued_at, d.delivery_id limit 5001`, ids)
	if err != nil {
		return err
	}
	attempts, err := d.attempts(ctx, ` where a.delivery_id in (select delivery_id from deliveries where event_id in (`+in+`))
		order by a.started_at, a.attempt_id limit 5001`, ids)
	if err != nil {
		return err
	}
	c.Truncated = c.Truncated || len(deliveries) > maxCallRows || len(attempts) > maxCallRows
	c.Deliveries = append(c.Deliveries, deliveries[:min(len(deliveries), maxCallRows)]...)
	c.Attempts = append(c.Attempts, attempts[:min(len(attempts), maxCallRows)]...)
	return nil
}

func sortEvents(events []EventDetail) {
	slices.SortFunc(events, func(a, b EventDetail) int {
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		return strings.Compare(a.EventID, b.EventID)
	})
}
