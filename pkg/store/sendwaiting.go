package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// States of a SendWaiting.
const (
	SendRunning    = "running"
	SendCancelling = "cancelling"
	SendDone       = "done"
	SendCancelled  = "cancelled"
)

// SendWaiting is "send waiting now" for one subscription: what it has done so
// far, so that whoever goes on with it begins there.
type SendWaiting struct {
	ID, SubscriptionID string
	State              string
	RequestedBy        string
	CreatedAt          time.Time
	UpdatedAt          time.Time
	// Revision grows with each save.
	Revision int64
	SendProgress
}

// SendProgress is how far it has come.
type SendProgress struct {
	// Planned is true once Partitions are known.
	Planned    bool            `json:"planned"`
	Partitions []SendPartition `json:"partitions"`
	// Sent counts what was produced again and acknowledged; Scanned and Total
	// count records of the delay topics, of all subscriptions.
	Sent    int64 `json:"sent"`
	Scanned int64 `json:"scanned"`
	Total   int64 `json:"total"`
	// Fault is what went wrong last, empty when nothing did since.
	Fault string `json:"fault,omitempty"`
}

// SendPartition is one partition of a delay topic: everything of the subscription
// below Next has been dealt with, and End is where it is done.
type SendPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
	End       int64  `json:"end"`
	// Found is how many of the subscription's records were in it.
	Found int64 `json:"found"`
}

const sendColumns = `id, subscription_id, state, requested_by, created_at, updated_at, revision, progress`

// CreateSendWaiting begins one. ErrExists when one of this subscription has not
// ended yet.
func (d *DB) CreateSendWaiting(ctx context.Context, w *SendWaiting) error {
	now := d.stamp(d.timestamp())
	_, err := d.writer.ExecContext(ctx, `insert into send_waiting (`+sendColumns+`) values ($1, $2, $3, $4, $5, $6, 1, $7)`,
		CleanID(w.ID), CleanID(w.SubscriptionID), SendRunning, Clean(w.RequestedBy), now, now, jsonText(w.SendProgress))
	if d.engine.Conflict(err) {
		return ErrExists
	}
	return wrap("beginning to send what waits", err)
}

// SaveSendWaiting keeps progress and state since w was read or saved, and updates
// w. ErrVersion when somebody else has saved since: then nothing is kept. One that
// was cancelled meanwhile goes on being cancelled.
func (d *DB) SaveSendWaiting(ctx context.Context, w *SendWaiting) error {
	err := d.writer.QueryRowContext(ctx, `update send_waiting set revision = revision + 1, progress = $1, updated_at = $2,
		state = case when state = 'cancelling' and $3 = 'running' then state else $4 end where id = $5 and revision = $6 returning state`,
		jsonText(w.SendProgress), d.stamp(d.timestamp()), w.State, w.State, CleanID(w.ID), w.Revision).Scan(&w.State)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrVersion
	}
	if err == nil {
		w.Revision++
	}
	return wrap("saving what was sent of what waits", err)
}

// CancelSendWaiting asks that the running one of a subscription be ended.
// ErrNotFound when none is running.
func (d *DB) CancelSendWaiting(ctx context.Context, subscriptionID string) error {
	res, err := d.writer.ExecContext(ctx, `update send_waiting set state = 'cancelling', updated_at = $1 where subscription_id = $2 and state in ('running', 'cancelling')`,
		d.stamp(d.timestamp()), CleanID(subscriptionID))
	if err != nil {
		return wrap("cancelling", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}

// OpenSendWaiting are those that have not ended, oldest first.
func (d *DB) OpenSendWaiting(ctx context.Context) ([]*SendWaiting, error) {
	return d.sendWaiting(ctx, ` where state in ('running', 'cancelling') order by created_at, id`)
}

// LastSendWaiting is the latest one of a subscription.
func (d *DB) LastSendWaiting(ctx context.Context, subscriptionID string) (*SendWaiting, error) {
	out, err := d.sendWaiting(ctx, ` where subscription_id = $1 order by created_at desc, id desc limit 1`, CleanID(subscriptionID))
	if err == nil && len(out) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (d *DB) sendWaiting(ctx context.Context, tail string, args ...any) ([]*SendWaiting, error) {
	var out []*SendWaiting
	err := d.read(ctx, `select `+sendColumns+` from send_waiting`+tail, args, func(rows *sql.Rows) error {
		w := &SendWaiting{}
		var progress string
		if err := rows.Scan(&w.ID, &w.SubscriptionID, &w.State, &w.RequestedBy, instant{&w.CreatedAt}, instant{&w.UpdatedAt}, &w.Revision, &progress); err != nil {
			return err
		}
		out = append(out, w)
		return json.Unmarshal([]byte(progress), &w.SendProgress)
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is sent of what waits: %w", err)
	}
	return out, nil
}
