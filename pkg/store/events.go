package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const eventColumns = `e.event_id, e.tenant, e.source, e.event_type, e.ce_id, e.call_id, e.scenario_id, e.parent_id, e.ou_path, e.cause,
	e.occurred_at, e.produced_at, e.routed_at, e.matched, e.duplicate, e.payload_bytes, e.src_topic, e.src_partition, e.src_offset`

func (e *Event) scan(rows *sql.Rows, more ...any) error {
	var duplicate int
	err := rows.Scan(append([]any{&e.EventID, &e.Tenant, &e.Source, &e.EventType, &e.CeID, &e.CallID, &e.ScenarioID, &e.ParentID, &e.OUPath, &e.Cause,
		instant{&e.OccurredAt}, instant{&e.ProducedAt}, instant{&e.RoutedAt}, &e.Matched, &duplicate, &e.PayloadBytes,
		&e.Position.Topic, &e.Position.Partition, &e.Position.Offset}, more...)...)
	e.Duplicate = duplicate != 0
	return err
}

// Events is a page of events, newest first, and the cursor of the next one.
func (d *DB) Events(ctx context.Context, q EventQuery) ([]Event, string, error) {
	f := &filter{d: d}
	f.equal("e.event_type", q.EventType)
	// In the words of the partial indices, so that they serve.
	for column, v := range map[string]string{"e.call_id": q.CallID, "e.scenario_id": q.ScenarioID, "e.parent_id": q.ParentID} {
		if v != "" {
			f.add(column+" = %s and "+column+" <> ''", CleanID(v))
		}
	}
	f.equal("e.cause", q.Cause)
	f.between("e.occurred_at", q.From, q.To)
	limit, tail, err := f.page("events", "e.occurred_at", "e.event_id", q.Page)
	if err != nil {
		return nil, "", err
	}
	var out []Event
	err = d.read(ctx, `select `+eventColumns+` from events e`+f.text()+tail, f.args, func(rows *sql.Rows) error {
		var e Event
		err := e.scan(rows)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading events: %w", err)
	}
	return pageOf(d, "events", out, limit, func(e *Event) (time.Time, string) { return e.OccurredAt, e.EventID })
}

// RecentEvents calls fn with the last events that calls ended with, newest first,
// at most limit of them, until it answers false. payload is nil where it has
// expired, or when it was not asked for. Neither is to be kept.
func (d *DB) RecentEvents(ctx context.Context, limit int, payloads bool, fn func(e *Event, payload []byte) bool) error {
	column, join := `null`, ``
	if payloads {
		column, join = `p.payload`, ` left join payloads p on p.event_id = e.event_id`
	}
	done := errors.New("enough")
	err := d.read(ctx, `select `+eventColumns+`, `+column+` from events e`+join+` where e.cause = 'call_ended' and e.duplicate = 0
		order by e.occurred_at desc, e.event_id desc limit `+strconv.Itoa(limit), nil, func(rows *sql.Rows) error {
		var e Event
		var payload []byte
		if err := e.scan(rows, &payload); err != nil {
			return err
		}
		if !fn(&e, payload) {
			return done
		}
		return nil
	})
	if err != nil && !errors.Is(err, done) {
		return fmt.Errorf("reading the last events: %w", err)
	}
	return nil
}

// Event is one event with what was decided about it.
func (d *DB) Event(ctx context.Context, id string) (*EventDetail, error) {
	out, err := d.eventDetails(ctx, `e.event_id = $1`, []any{CleanID(id)}, 1)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, ErrNotFound
	}
	return &out[0], nil
}

// eventDetails reads events by a condition, oldest first, at most limit.
func (d *DB) eventDetails(ctx context.Context, condition string, args []any, limit int) ([]EventDetail, error) {
	var out []EventDetail
	err := d.read(ctx, `select `+eventColumns+`, e.detail, case when p.event_id is null then 1 else 0 end, x.at
		from events e left join payloads p on p.event_id = e.event_id left join erased_events x on x.event_id = e.event_id where `+condition+fmt.Sprintf(` order by e.occurred_at, e.event_id limit %d`, limit), args,
		func(rows *sql.Rows) error {
			var e EventDetail
			var detail []byte
			var expired int
			if err := e.scan(rows, &detail, &expired, instant{&e.ErasedAt}); err != nil {
				return err
			}
			e.PayloadExpired = expired != 0
			if err := e.open(detail); err != nil {
				return err
			}
			out = append(out, e)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	return out, d.complete(ctx, out)
}

func (e *EventDetail) open(detail []byte) error {
	var m aftercallv1.Event
	if err := proto.Unmarshal(detail, &m); err != nil {
		return fmt.Errorf("opening the detail of %s: %w", e.EventID, err)
	}
	e.SubscriptionsOffset, e.Traceparent = m.GetSubscriptionsOffset(), m.GetTraceparent()
	e.Warnings = append([]string{}, m.GetWarnings()...)
	e.Repeats = []Position{}
	e.Decisions = make([]Decision, len(m.GetDecisions()))
	for i, d := range m.GetDecisions() {
		e.Decisions[i] = Decision{
			SubscriptionID: d.GetSubscriptionId(), SubscriptionVersion: d.GetSubscriptionVersion(), Outcome: OutcomeWord(d.GetOutcome()),
			DeliveryID: d.GetDeliveryId(), Detail: d.GetDetail(),
		}
	}
	return nil
}

// complete adds the names of subscriptions, and the repeats.
func (d *DB) complete(ctx context.Context, events []EventDetail) error {
	if len(events) == 0 {
		return nil
	}
	index := make(map[string]*EventDetail, len(events))
	ids := make([]any, len(events))
	subscriptions := map[string]string{}
	for i := range events {
		index[events[i].EventID] = &events[i]
		ids[i] = events[i].EventID
		for _, dec := range events[i].Decisions {
			subscriptions[CleanID(dec.SubscriptionID)] = ""
		}
	}
	err := d.read(ctx, `select event_id, src_topic, src_partition, src_offset from event_repeats where event_id in (`+marks(len(ids))+`)
		order by event_id, src_topic, src_partition, src_offset`, ids, func(rows *sql.Rows) error {
		var id string
		var p Position
		if err := rows.Scan(&id, &p.Topic, &p.Partition, &p.Offset); err != nil {
			return err
		}
		// A record routed twice may have lost before it won.
		if e := index[id]; e.Position != p {
			e.Repeats = append(e.Repeats, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading repeats: %w", err)
	}
	names := make([]any, 0, len(subscriptions))
	for id := range subscriptions {
		names = append(names, id)
	}
	for len(names) > 0 {
		part := names[:min(len(names), 500)]
		names = names[len(part):]
		err := d.read(ctx, `select id, name from subscriptions where id in (`+marks(len(part))+`)`, part, func(rows *sql.Rows) error {
			var id, name string
			err := rows.Scan(&id, &name)
			subscriptions[id] = name
			return err
		})
		if err != nil {
			return fmt.Errorf("reading names of subscriptions: %w", err)
		}
	}
	for i := range events {
		for j := range events[i].Decisions {
			dec := &events[i].Decisions[j]
			dec.SubscriptionName = subscriptions[CleanID(dec.SubscriptionID)]
		}
	}
	return nil
}

// Payload is the CDR byte for byte. It answers ErrPayloadExpired when the event
// is known but its payload is gone, and ErrNotFound when there is no such event.
func (d *DB) Payload(ctx context.Context, eventID string) ([]byte, error) {
	id := CleanID(eventID)
	var payload []byte
	err := d.sql.QueryRowContext(ctx, `select payload from payloads where event_id = $1`, id).Scan(&payload)
	if err == nil {
		return payload, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("reading payload: %w", err)
	}
	var erased int
	err = d.sql.QueryRowContext(ctx, `select case when x.event_id is null then 0 else 1 end from events e left join erased_events x on x.event_id = e.event_id
		where e.event_id = $1`, id).Scan(&erased)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("reading event: %w", err)
	case erased != 0:
		return nil, ErrPayloadErased
	}
	return nil, ErrPayloadExpired
}
