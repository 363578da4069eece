package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// States of a replay. Planned, cancelled and failed ones can be run (again).
const (
	ReplayPlanned   = "planned"
	ReplayRunning   = "running"
	ReplayDone      = "done"
	ReplayCancelled = "cancelled"
	ReplayFailed    = "failed"
)

// Modes of a replay.
const (
	ReplayRecover  = "recover"
	ReplayBackfill = "backfill"
)

// Replay sends events of the past once more: what is to be sent, how far it has
// come, who asked for it and why.
type Replay struct {
	ID string
	// Mode is recover or backfill.
	Mode  string
	State string
	// From is inclusive, To exclusive: of when deliveries were first queued
	// (recover), or of when calls ended (backfill).
	From, To time.Time
	// Subscriptions are the chosen ones; none stands for all.
	Subscriptions []string
	// States are those that recover takes: given_up, stopped.
	States []string
	Why    string
	// Rate is in deliveries a second.
	Rate int
	// Plan is what was counted before anything was sent.
	Plan []ReplayCount
	// Total is how many deliveries are concerned: Sent + Skipped in the end.
	Total, Sent, Skipped int64
	// SkippedFor are the reasons of Skipped.
	SkippedFor map[string]int64
	Cursor     ReplayCursor
	// Fault is what went wrong last, empty when nothing did since.
	Fault                         string
	CreatedBy, StartedBy          string
	EndedBy                       string
	CreatedAt, StartedAt, EndedAt time.Time
	UpdatedAt                     time.Time
}

// ReplayCount is what a plan says of one subscription.
type ReplayCount struct {
	SubscriptionID string           `json:"subscription_id"`
	Send           int64            `json:"send"`
	Skip           map[string]int64 `json:"skip,omitempty"`
}

// ReplayCursor is the last one dealt with, in the order of time and id. The zero
// value stands before the first.
type ReplayCursor struct {
	At time.Time
	ID string
}

// ReplayQuery selects replays; From and To speak of when they were planned.
type ReplayQuery struct {
	State    string
	From, To time.Time
	Page
}

const replayColumns = `id, mode, state, from_at, to_at, subscriptions, states, why, rate, plan, total, sent, skipped, skipped_for,
	cursor_at, cursor_id, fault, created_by, created_at, started_by, started_at, ended_by, ended_at, updated_at`

func scanReplay(rows *sql.Rows) (*Replay, error) {
	r := &Replay{}
	var subscriptions, states, plan, skippedFor []byte
	err := rows.Scan(&r.ID, &r.Mode, &r.State, instant{&r.From}, instant{&r.To}, &subscriptions, &states, &r.Why, &r.Rate, &plan, &r.Total, &r.Sent, &r.Skipped, &skippedFor,
		instant{&r.Cursor.At}, &r.Cursor.ID, &r.Fault, &r.CreatedBy, instant{&r.CreatedAt}, &r.StartedBy, instant{&r.StartedAt}, &r.EndedBy, instant{&r.EndedAt}, instant{&r.UpdatedAt})
	if err != nil {
		return nil, err
	}
	for _, field := range []struct {
		text []byte
		into any
	}{{subscriptions, &r.Subscriptions}, {states, &r.States}, {plan, &r.Plan}, {skippedFor, &r.SkippedFor}} {
		if err := json.Unmarshal(field.text, field.into); err != nil {
			return nil, fmt.Errorf("opening replay %s: %w", r.ID, err)
		}
	}
	return r, nil
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error()) // of strings and numbers only
	}
	return string(b)
}

// CreateReplay keeps a plan. CreatedAt is set when it is zero.
func (d *DB) CreateReplay(ctx context.Context, r *Replay) error {
	now := d.timestamp()
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	r.State, r.UpdatedAt = ReplayPlanned, now
	_, err := d.writer.ExecContext(ctx, `insert into replays (`+replayColumns+`) values (`+marks(24)+`)`, //nolint:gosec // constants
		CleanID(r.ID), r.Mode, r.State, d.stamp(r.From), d.stamp(r.To), jsonText(r.Subscriptions), jsonText(r.States), Clean(r.Why), r.Rate, jsonText(r.Plan), r.Total, r.Sent, r.Skipped, jsonText(r.SkippedFor),
		d.stamp(r.Cursor.At), r.Cursor.ID, Clean(r.Fault), CleanID(r.CreatedBy), d.stamp(r.CreatedAt), "", nil, "", nil, d.stamp(r.UpdatedAt))
	if err != nil && d.engine.Conflict(err) {
		return ErrExists
	}
	return wrap("creating replay", err)
}

// Replay is one replay.
func (d *DB) Replay(ctx context.Context, id string) (*Replay, error) {
	out, err := d.replays(ctx, ` where id = $1`, []any{CleanID(id)})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, ErrNotFound
	}
	return out[0], nil
}

// Replays is a page of replays, newest first, and the cursor of the next one.
func (d *DB) Replays(ctx context.Context, q ReplayQuery) ([]*Replay, string, error) {
	f := &filter{d: d}
	f.equal("state", q.State)
	f.between("created_at", q.From, q.To)
	limit, tail, err := f.page("replays", "created_at", "id", q.Page)
	if err != nil {
		return nil, "", err
	}
	out, err := d.replays(ctx, f.text()+tail, f.args)
	if err != nil {
		return nil, "", err
	}
	return pageOf(d, "replays", out, limit, func(r **Replay) (time.Time, string) { return (*r).CreatedAt, (*r).ID })
}

// RunningReplays are those that are to be carried on, oldest first.
func (d *DB) RunningReplays(ctx context.Context) ([]*Replay, error) {
	return d.replays(ctx, ` where state = 'running' order by id`, nil)
}

func (d *DB) replays(ctx context.Context, tail string, args []any) ([]*Replay, error) {
	var out []*Replay
	err := d.read(ctx, `select `+replayColumns+` from replays`+tail, args, func(rows *sql.Rows) error {
		r, err := scanReplay(rows)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading replays: %w", err)
	}
	return out, nil
}

// StartReplay makes a planned, cancelled or failed replay a running one, or
// changes the rate of a running one. It answers ErrVersion for one that is done.
func (d *DB) StartReplay(ctx context.Context, id string, rate int, by Actor) error {
	now := d.stamp(d.timestamp())
	return d.changeReplay(ctx, "starting replay", id, `update replays set started_by = case when state = 'running' then started_by else $2 end,
		started_at = case when state = 'running' then started_at else $3 end,
		state = 'running', rate = $4, fault = '', ended_by = '', ended_at = null, updated_at = $5 where id = $1 and state <> 'done'`,
		CleanID(by.Name), now, rate, now)
}

// CancelReplay ends a planned or running replay. Cancelling it again changes
// nothing; one that is done answers ErrVersion.
func (d *DB) CancelReplay(ctx context.Context, id string, by Actor) error {
	now := d.stamp(d.timestamp())
	return d.changeReplay(ctx, "cancelling replay", id, `update replays set ended_by = case when state = 'cancelled' then ended_by else $2 end,
		ended_at = case when state = 'cancelled' then ended_at else $3 end, state = 'cancelled', updated_at = $4 where id = $1 and state <> 'done'`,
		CleanID(by.Name), now, now)
}

func (d *DB) changeReplay(ctx context.Context, doing, id, text string, args ...any) error {
	res, err := d.writer.ExecContext(ctx, text, append([]any{CleanID(id)}, args...)...)
	if err != nil {
		return wrap(doing, err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return wrap(doing, err)
	}
	if _, err := d.Replay(ctx, id); err != nil {
		return err
	}
	return ErrVersion
}

// SaveReplay keeps how far a replay has come since before: cursor, counts and
// fault. It answers ErrVersion, and keeps nothing, when somebody else has saved
// progress since. A replay that was cancelled meanwhile keeps its state and takes
// the counts: what was sent was sent.
func (d *DB) SaveReplay(ctx context.Context, before, after *Replay) error {
	return d.changeReplay(ctx, "saving replay", after.ID, `update replays set cursor_at = $2, cursor_id = $3, sent = $4, skipped = $5, skipped_for = $6, total = $7, fault = $8, updated_at = $9
		where id = $1 and sent = $10 and skipped = $11 and cursor_id = $12`,
		d.stamp(after.Cursor.At), CleanID(after.Cursor.ID), after.Sent, after.Skipped, jsonText(after.SkippedFor), after.Total, Clean(after.Fault), d.stamp(d.timestamp()),
		before.Sent, before.Skipped, before.Cursor.ID)
}

// EndReplay makes a running replay done or failed. One that is not running any
// more stays as it is.
func (d *DB) EndReplay(ctx context.Context, id, state, fault string) error {
	now := d.stamp(d.timestamp())
	_, err := d.writer.ExecContext(ctx, `update replays set state = $2, fault = $3, ended_at = $4, updated_at = $5,
		total = case when $6 = 'done' then sent + skipped else total end where id = $1 and state = 'running'`,
		CleanID(id), state, Clean(fault), now, now, state)
	return wrap("ending replay", err)
}

// ReplayLock takes the lock of the one runner of replays without waiting, as
// PublishLock does the publisher's.
func (d *DB) ReplayLock(ctx context.Context) (release func(), ok bool, err error) {
	return d.engine.ReplayLock(ctx)
}

// DeliveryState is where one delivery of an event stands.
type DeliveryState struct {
	DeliveryID, EventID, SubscriptionID string
	Cause, State                        string
	QueuedAt                            time.Time
}

// Unsuccessful reads deliveries that ended in one of the states, first queued
// from from (inclusive) to to (exclusive), in the order of (first queued, id)
// after a cursor. No subscriptions stands for all. Tests are left out.
func (d *DB) Unsuccessful(ctx context.Context, from, to time.Time, subscriptions, states []string, after ReplayCursor, limit int) ([]DeliveryState, error) {
	f := &filter{d: d}
	f.between("queued_at", from, to)
	f.where = append(f.where, "cause <> 'test'")
	f.in("state", states)
	f.in("subscription_id", subscriptions)
	f.after("queued_at", "delivery_id", after)
	return d.deliveryStates(ctx, f.text()+fmt.Sprintf(` order by queued_at, delivery_id limit %d`, limit), f.args)
}

// DeliveryStates are the deliveries of some events, in no order.
func (d *DB) DeliveryStates(ctx context.Context, events []string) ([]DeliveryState, error) {
	var out []DeliveryState
	for len(events) > 0 {
		part := events[:min(len(events), 500)]
		events = events[len(part):]
		f := &filter{d: d}
		f.in("event_id", part)
		some, err := d.deliveryStates(ctx, f.text(), f.args)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func (d *DB) deliveryStates(ctx context.Context, tail string, args []any) ([]DeliveryState, error) {
	var out []DeliveryState
	err := d.read(ctx, `select delivery_id, event_id, subscription_id, cause, state, queued_at from deliveries`+tail, args, func(rows *sql.Rows) error {
		var s DeliveryState
		err := rows.Scan(&s.DeliveryID, &s.EventID, &s.SubscriptionID, &s.Cause, &s.State, instant{&s.QueuedAt})
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading states of deliveries: %w", err)
	}
	return out, nil
}

// ReplayEvent is an event with what a delivery of it needs.
type ReplayEvent struct {
	Event
	Traceparent string
	// PayloadExpired is true when the payload is gone. Payload may be nil all the
	// same: it is read on demand.
	PayloadExpired bool
	Payload        []byte
}

// EventsBetween reads events of ended calls from from (inclusive) to to
// (exclusive), of some event types, in the order of (call's end, id) after a
// cursor.
func (d *DB) EventsBetween(ctx context.Context, from, to time.Time, types []string, after ReplayCursor, limit int, payloads bool) ([]ReplayEvent, error) {
	f := &filter{d: d}
	f.between("e.occurred_at", from, to)
	f.where = append(f.where, "e.cause = 'call_ended'")
	f.in("e.event_type", types)
	f.after("e.occurred_at", "e.event_id", after)
	return d.replayEvents(ctx, f.text()+fmt.Sprintf(` order by e.occurred_at, e.event_id limit %d`, limit), f.args, payloads)
}

// EventsByID reads some events, those that are known, in no order.
func (d *DB) EventsByID(ctx context.Context, ids []string, payloads bool) ([]ReplayEvent, error) {
	var out []ReplayEvent
	for len(ids) > 0 {
		part := ids[:min(len(ids), 500)]
		ids = ids[len(part):]
		f := &filter{d: d}
		f.in("e.event_id", part)
		some, err := d.replayEvents(ctx, f.text(), f.args, payloads)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

func (d *DB) replayEvents(ctx context.Context, tail string, args []any, payloads bool) ([]ReplayEvent, error) {
	payload := "null"
	if payloads {
		payload = "p.payload"
	}
	var out []ReplayEvent
	err := d.read(ctx, `select `+eventColumns+`, e.detail, case when p.event_id is null then 1 else 0 end, `+payload+`
		from events e left join payloads p on p.event_id = e.event_id`+tail, args, func(rows *sql.Rows) error {
		var e EventDetail
		var detail, body []byte
		var expired int
		if err := e.scan(rows, &detail, &expired, &body); err != nil {
			return err
		}
		if err := e.open(detail); err != nil {
			return err
		}
		out = append(out, ReplayEvent{Event: e.Event, Traceparent: e.Traceparent, PayloadExpired: expired != 0, Payload: body})
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("reading events: %w", err)
	}
	return out, err
}

// in adds column in (…), unless there are no values.
func (f *filter) in(column string, values []string) {
	if len(values) == 0 {
		return
	}
	text := column + " in ("
	for i, v := range values {
		if i > 0 {
			text += ","
		}
		text += f.arg(CleanID(v))
	}
	f.where = append(f.where, text+")")
}

// after adds (column, id) > cursor, unless it stands before the first.
func (f *filter) after(column, id string, c ReplayCursor) {
	if c.ID == "" {
		return
	}
	f.where = append(f.where, "("+column+", "+id+") > ("+f.arg(f.d.engine.Time(c.At))+", "+f.arg(c.ID)+")")
}
