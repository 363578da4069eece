package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const deliveryColumns = `d.delivery_id, d.event_id, d.subscription_id, coalesce(s.name, ''), d.event_type, d.call_id, d.cause, d.state, d.reason,
	d.attempt, d.attempts_allowed, d.deferrals, d.result, d.error_class, d.http_status, d.last_attempt_id, d.last_attempt_at, d.next_attempt_at,
	d.occurred_at, d.queued_at, d.updated_at, d.call_end_to_delivered_ms, d.request_id, d.requested_by`

const deliveryTables = ` from deliveries d left join subscriptions s on s.id = d.subscription_id`

func (d *Delivery) into() []any {
	return []any{&d.DeliveryID, &d.EventID, &d.SubscriptionID, &d.SubscriptionName, &d.EventType, &d.CallID, &d.Cause, &d.State, &d.Reason,
		&d.Attempt, &d.AttemptsAllowed, &d.Deferrals, &d.Result, &d.ErrorClass, &d.HTTPStatus, &d.LastAttemptID, instant{&d.LastAttemptAt}, instant{&d.NextAttemptAt},
		instant{&d.OccurredAt}, instant{&d.FirstQueuedAt}, instant{&d.UpdatedAt}, &d.CallEndToDeliveredMS, &d.RequestID, &d.RequestedBy}
}

// Deliveries is a page of deliveries, newest first, and the cursor of the next
// one.
func (d *DB) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, string, error) {
	f := &filter{d: d}
	f.equal("d.subscription_id", q.SubscriptionID)
	f.equal("d.event_type", q.EventType)
	if q.CallID != "" {
		// Ids are digests: every index of them costs a page of its own a row.
		f.add("d.event_id in (select event_id from events where call_id = %s and call_id <> '')", CleanID(q.CallID))
	}
	f.equal("d.delivery_id", q.DeliveryID)
	f.equal("d.event_id", q.EventID)
	f.equal("d.result", q.Result)
	if q.State == StateWaiting {
		f.where = append(f.where, "d.state = 'waiting'")
	} else {
		f.equal("d.state", q.State)
	}
	f.equal("d.error_class", q.ErrorClass)
	f.status("d.http_status", q.Status)
	f.cause("d.cause", q.Cause)
	f.between("d.queued_at", q.From, q.To)
	limit, tail, err := f.page("deliveries", "d.queued_at", "d.delivery_id", q.Page)
	if err != nil {
		return nil, "", err
	}
	out, err := d.deliveries(ctx, f.text()+tail, f.args)
	if err != nil {
		return nil, "", err
	}
	return pageOf(d, "deliveries", out, limit, func(v *Delivery) (time.Time, string) { return v.FirstQueuedAt, v.DeliveryID })
}

func (d *DB) deliveries(ctx context.Context, tail string, args []any) ([]Delivery, error) {
	var out []Delivery
	err := d.read(ctx, `select `+deliveryColumns+deliveryTables+tail, args, func(rows *sql.Rows) error {
		var v Delivery
		err := rows.Scan(v.into()...)
		out = append(out, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	return out, nil
}

// Delivery is one delivery.
func (d *DB) Delivery(ctx context.Context, id string) (*Delivery, error) {
	out, err := d.deliveries(ctx, ` where d.delivery_id = $1`, []any{CleanID(id)})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, ErrNotFound
	}
	return &out[0], nil
}

// AddDelivery makes the row of a delivery that somebody asked for, before
// anything has happened to it. Where records about it are here already, it adds
// what they don't say.
func (d *DB) AddDelivery(ctx context.Context, m *aftercallv1.Delivery, requestedBy string) error {
	_, err := d.Project(ctx, &Batch{Requested: []*RequestedDelivery{{Delivery: m, By: requestedBy}}})
	if err != nil {
		return fmt.Errorf("adding delivery: %w", err)
	}
	return nil
}
