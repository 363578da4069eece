package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErasedEvent is an event that falls to an erasure, with the ids that its call is
// known by.
type ErasedEvent struct {
	EventID, Erasure string
	At               time.Time
	// Its ids as they came.
	CallID, ScenarioID, ParentID string
}

// EraseEvents takes out of events, their deliveries and their attempts what was
// erased, and notes that they are erased; payloads go, the history stays. It counts
// what it finds; with dry it changes nothing.
func EraseEvents(ctx context.Context, tx Tx, known *Erased, events []ErasedEvent, at time.Time, dry bool) (n ErasureCounts, err error) {
	const some = 200
	for len(events) > 0 {
		part := events[:min(len(events), some)]
		events = events[len(part):]
		got, err := eraseEvents(ctx, tx, known, part, at, dry)
		if err != nil {
			return n, fmt.Errorf("erasing events: %w", err)
		}
		n.add(got)
	}
	return n, nil
}

// EraseFresh erases events that were recognised while they were projected, with what
// the store has of their calls already.
func EraseFresh(ctx context.Context, tx Tx, known *Erased, fresh []ErasedEvent, at time.Time) error {
	look := func(ctx context.Context, ids []any, from, to time.Time, limit int) (out []leg, err error) {
		text, args := legsText(tx.Time, ids, from, to, limit)
		err = tx.Query(ctx, text, args, func(r Row) error {
			l, err := scanLeg(r)
			out = append(out, l)
			return err
		})
		return out, err
	}
	all := map[string]ErasedEvent{}
	for _, e := range fresh {
		all[e.EventID] = e
	}
	for _, e := range fresh {
		call, err := grow(ctx, look, []leg{{eventID: e.EventID, at: e.At, ids: [3]string{known.Alias(e.CallID, e.At), known.Alias(e.ScenarioID, e.At), known.Alias(e.ParentID, e.At)}}}, &Call{})
		if err != nil {
			return fmt.Errorf("reading the records of an erased call: %w", err)
		}
		for _, l := range call {
			if _, there := all[l.eventID]; !there && known.Event(l.eventID) == "" {
				all[l.eventID] = ErasedEvent{EventID: l.eventID, Erasure: e.Erasure, At: l.at, CallID: l.ids[0], ScenarioID: l.ids[1], ParentID: l.ids[2]}
			}
		}
	}
	_, err := EraseEvents(ctx, tx, known, slices.Collect(maps.Values(all)), at, false)
	return err
}

func eraseEvents(ctx context.Context, tx Tx, known *Erased, events []ErasedEvent, at time.Time, dry bool) (n ErasureCounts, err error) {
	ids := make([]any, len(events))
	by := map[string]string{}
	for i, e := range events {
		ids[i], by[e.EventID] = e.EventID, e.Erasure
	}
	in := marks(len(ids))
	type row struct {
		id, call, scenario, parent, ce, source string
		at                                     time.Time
		detail                                 []byte
	}
	var rows []row
	err = tx.Query(ctx, `select e.event_id, e.call_id, e.scenario_id, e.parent_id, e.ce_id, e.source, e.occurred_at, e.detail, case when p.event_id is null then 0 else 1 end
		from events e left join payloads p on p.event_id = e.event_id where e.event_id in (`+in+`) order by e.event_id`, ids, func(r Row) error {
		var x row
		var payload int64
		err := r.Scan(&x.id, &x.call, &x.scenario, &x.parent, &x.ce, &x.source, &instant{&x.at}, &x.detail, &payload)
		n.Events++
		n.Payloads += payload
		rows = append(rows, x)
		return err
	})
	if err != nil {
		return n, err
	}
	for _, x := range rows {
		var replaced int64
		alias := func(id string) string {
			out := known.Alias(id, x.at)
			if out != id {
				replaced++
			}
			return out
		}
		call := alias(x.call)
		args := []any{call, alias(x.scenario), alias(x.parent), alias(x.ce), alias(x.source), EventWithout(x.detail), x.id}
		n.IDs += replaced
		if dry {
			continue
		}
		set := `update events set call_id = $1, scenario_id = $2, parent_id = $3, ce_id = $4, source = $5, detail = $6`
		if tx.Dialect() == "sqlite" {
			set += `, payload = null`
		}
		if _, err := tx.Exec(ctx, set+` where event_id = $7`, args...); err != nil {
			return n, err
		}
		if call != x.call {
			if _, err := tx.Exec(ctx, `update deliveries set call_id = $1 where event_id = $2`, call, x.id); err != nil {
				return n, err
			}
		}
	}
	var waiting int64
	err = tx.Query(ctx, `select count(*) from deliveries where state in ('queued', 'waiting') and event_id in (`+in+`)`, ids, func(r Row) error { return r.Scan(&waiting) })
	n.Waiting += waiting
	if err != nil {
		return n, err
	}
	if !dry {
		if err := noteErased(ctx, tx, known, events, ids, at); err != nil {
			return n, err
		}
	}
	found, err := attemptsOf(ctx, tx, ` where delivery_id in (select delivery_id from deliveries where event_id in (`+in+`))`, ids...)
	if err != nil {
		return n, err
	}
	n.Attempts, err = eraseAttempts(ctx, tx, known, found, dry)
	return n, err
}

func noteErased(ctx context.Context, tx Tx, known *Erased, events []ErasedEvent, ids []any, at time.Time) error {
	if tx.Dialect() == "postgres" {
		if _, err := tx.Exec(ctx, `delete from payloads where event_id in (`+marks(len(ids))+`)`, ids...); err != nil {
			return err
		}
	}
	touched := map[string]bool{}
	for _, e := range events {
		if _, err := tx.Exec(ctx, `insert into erased_events (event_id, erasure_id, at) values ($1, $2, $3) on conflict do nothing`, e.EventID, e.Erasure, tx.Time(at)); err != nil {
			return err
		}
		touched[e.Erasure] = true
		for _, id := range []string{e.CallID, e.ScenarioID, e.ParentID} {
			if !linking(id) || aliased(id) {
				continue
			}
			// What else belongs to the call falls to it too, whenever it comes.
			keyID, sum := known.digester.Digest(keyCall, []byte(id))
			from, to := tx.Time(e.At.Add(-CallWindow)), tx.Time(e.At.Add(CallWindow))
			_, err := tx.Exec(ctx, `insert into erasure_keys (erasure_id, kind, key_id, digest, from_at, to_at) values ($1, 'call', $2, $3, $4, $5)
				on conflict (erasure_id, kind, key_id, digest) do update set
				from_at = case when excluded.from_at < erasure_keys.from_at then excluded.from_at else erasure_keys.from_at end,
				to_at = case when excluded.to_at > erasure_keys.to_at then excluded.to_at else erasure_keys.to_at end`, e.Erasure, int64(keyID), sum, from, to)
			if err != nil {
				return err
			}
		}
	}
	for id := range touched {
		if _, err := tx.Exec(ctx, `update erasures set revision = (select max(revision) + 1 from erasures) where id = $1 and revision > 0`, id); err != nil {
			return err
		}
	}
	return nil
}

// erasable is what must be known of an attempt to erase what was answered.
type erasable struct {
	id, event, call string
	started         time.Time
	detail          []byte
}

func attemptsOf(ctx context.Context, tx Tx, tail string, args ...any) ([]erasable, error) {
	var out []erasable
	err := tx.Query(ctx, `select attempt_id, event_id, call_id, started_at, detail from attempts`+tail, args, func(r Row) error {
		var a erasable
		err := r.Scan(&a.id, &a.event, &a.call, &instant{&a.started}, &a.detail)
		out = append(out, a)
		return err
	})
	return out, err
}

// eraseAttempts answers how many attempts held something.
func eraseAttempts(ctx context.Context, tx Tx, known *Erased, attempts []erasable, dry bool) (n int64, err error) {
	for _, a := range attempts {
		_, happened := known.Attempt(a.event, a.call, a.detail, a.started)
		detail, changed := known.AttemptWithout(a.detail, happened)
		call := known.Alias(a.call, happened)
		if !changed && call == a.call {
			continue
		}
		n++
		if dry {
			continue
		}
		_, err := tx.Exec(ctx, `update attempts set detail = $1, call_id = $2 where attempt_id = $3 and started_at = $4`, detail, call, a.id, tx.Time(a.started))
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// CallIDs are the ids that a rejected record names, where it can be read.
func CallIDs(payload []byte) []string {
	var ids struct{ CallId, ScenarioId, ParentId json.RawMessage }
	if json.Unmarshal(payload, &ids) != nil {
		return nil
	}
	var out []string
	for _, raw := range []json.RawMessage{ids.CallId, ids.ScenarioId, ids.ParentId} {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if linking(text) {
			out = append(out, CleanID(text))
		}
	}
	return out
}
