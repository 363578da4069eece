package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Limits of what Call answers.
const (
	maxCallEvents   = 500
	maxCallRows     = 5000
	maxCallRounds   = 16
	callWindow      = 24 * time.Hour
	idsInOneReading = 500
)

// Call is everything known of one call: the records that share a CallId or
// ScenarioId, or name each other as ParentId, directly or through others, within
// a day of each other; with their deliveries and attempts, oldest first. id may
// be any of the three. ErrNotFound says that no record names it.
func (d *DB) Call(ctx context.Context, id string) (*Call, error) {
	out := &Call{Deliveries: []Delivery{}, Attempts: []Attempt{}}
	seen := map[string]bool{}
	asked := map[string]bool{}
	ask := []string{CleanID(id)}
	for round := 0; len(ask) > 0 && round < maxCallRounds; round++ {
		if len(ask) > idsInOneReading {
			ask, out.Truncated = ask[:idsInOneReading], true
		}
		args := make([]any, len(ask))
		for i, id := range ask {
			args[i], asked[id] = id, true
		}
		in := marks(len(ask))
		// A union rather than an or: each part has its own index.
		condition := `e.event_id in (select event_id from events where call_id in (` + in + `) and call_id <> ''
			union select event_id from events where scenario_id in (` + in + `) and scenario_id <> ''
			union select event_id from events where parent_id in (` + in + `) and parent_id <> '')`
		if len(out.Events) > 0 {
			f := filter{d: d, args: args}
			from, to := callTimes(out.Events)
			f.between("e.occurred_at", from.Add(-callWindow), to.Add(callWindow))
			for _, w := range f.where {
				condition += " and " + w
			}
			args = f.args
		}
		events, err := d.eventDetails(ctx, condition, args, maxCallEvents+1)
		if err != nil {
			return nil, err
		}
		ask = ask[:0:0]
		for _, e := range events {
			if seen[e.EventID] {
				continue
			}
			if len(out.Events) == maxCallEvents {
				out.Truncated = true
				break
			}
			seen[e.EventID] = true
			out.Events = append(out.Events, e)
			for _, id := range []string{e.CallID, e.ScenarioID, e.ParentID} {
				if id != "" && !asked[id] {
					asked[id] = true
					ask = append(ask, id)
				}
			}
		}
	}
	if len(out.Events) == 0 {
		return nil, ErrNotFound
	}
	sortEvents(out.Events)
	return out, d.callRows(ctx, out)
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

func callTimes(events []EventDetail) (from, to time.Time) {
	from, to = events[0].OccurredAt, events[0].OccurredAt
	for _, e := range events {
		if e.OccurredAt.Before(from) {
			from = e.OccurredAt
		}
		if e.OccurredAt.After(to) {
			to = e.OccurredAt
		}
	}
	return from, to
}

func sortEvents(events []EventDetail) {
	slices.SortFunc(events, func(a, b EventDetail) int {
		if c := a.OccurredAt.Compare(b.OccurredAt); c != 0 {
			return c
		}
		return strings.Compare(a.EventID, b.EventID)
	})
}
