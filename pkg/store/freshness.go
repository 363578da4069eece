package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ProjectedOffsets are the next offsets to project, by topic and partition:
// everything below them is in the store.
func (d *DB) ProjectedOffsets(ctx context.Context) (map[string]map[int32]int64, error) {
	out := map[string]map[int32]int64{}
	// From the writer: what was just committed must be seen.
	rows, err := d.writer.QueryContext(ctx, `select topic, partition, next_offset from projector_offsets`)
	if err != nil {
		return nil, fmt.Errorf("reading projected offsets: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var topic string
		var partition int32
		var next int64
		if err := rows.Scan(&topic, &partition, &next); err != nil {
			return nil, fmt.Errorf("reading projected offsets: %w", err)
		}
		if out[topic] == nil {
			out[topic] = map[int32]int64{}
		}
		out[topic][partition] = next
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading projected offsets: %w", err)
	}
	return out, nil
}

// Freshness says of each partition up to when it is in the store. What nobody
// projects grows old here, even when nothing new is in the topic: a silent
// projector cannot look fresh.
func (d *DB) Freshness(ctx context.Context) ([]PartitionFreshness, error) {
	var out []PartitionFreshness
	now := d.now()
	err := d.read(ctx, `select topic, partition, next_offset, projected_until from projector_offsets order by topic, partition`, nil, func(rows *sql.Rows) error {
		var p PartitionFreshness
		if err := rows.Scan(&p.Topic, &p.Partition, &p.Offset, instant{&p.ProjectedUntil}); err != nil {
			return err
		}
		p.Lag = max(now.Sub(p.ProjectedUntil), 0)
		p.LagSeconds = p.Lag.Round(time.Millisecond).Seconds()
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading freshness: %w", err)
	}
	return out, nil
}

// EndpointHealth is the health of every endpoint, as v_endpoint_health.
func (d *DB) EndpointHealth(ctx context.Context) ([]EndpointHealth, error) {
	var out []EndpointHealth
	err := d.read(ctx, `select subscription_id, last_attempt_at, last_success_at, last_failure_at, coalesce(last_change, ''), coalesce(last_change_reason, ''),
		last_change_at, until from v_endpoint_health order by subscription_id`, nil, func(rows *sql.Rows) error {
		var h EndpointHealth
		err := rows.Scan(&h.SubscriptionID, instant{&h.LastAttemptAt}, instant{&h.LastSuccessAt}, instant{&h.LastFailureAt}, &h.LastChange, &h.LastChangeReason,
			instant{&h.LastChangeAt}, instant{&h.Until})
		out = append(out, h)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the health of endpoints: %w", err)
	}
	return out, nil
}

// DisableRequests are those that concern the present version of an active
// subscription; a request about an earlier version speaks of an endpoint that
// may not be the present one.
func (d *DB) DisableRequests(ctx context.Context) ([]DisableRequest, error) {
	var out []DisableRequest
	err := d.read(ctx, `select c.change_id, c.subscription_id, c.subscription_version, c.reason, c.at from subscriptions s
		join endpoint_changes c on c.subscription_id = s.id and c.subscription_version = s.version and c.kind = 'disable_requested'
		where s.active and not s.deleted order by c.at, c.change_id`, nil, func(rows *sql.Rows) error {
		var r DisableRequest
		err := rows.Scan(&r.ChangeID, &r.SubscriptionID, &r.SubscriptionVersion, &r.Reason, instant{&r.At})
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading disable requests: %w", err)
	}
	return out, nil
}
