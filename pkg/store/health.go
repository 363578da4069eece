package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// SourceHealth is what came from a source topic within a day.
type SourceHealth struct {
	Topic string
	Last  time.Time
	// LastHour counts the records of the last hour.
	LastHour, Duplicates int64
}

// Breaker is an endpoint that is left alone.
type Breaker struct {
	SubscriptionID, Name, Reason string
	Since, Until                 time.Time
}

// Health is what the store knows of the flow's health.
type Health struct {
	Sources  []SourceHealth
	Waiting  int64
	Oldest   time.Time
	Rejected int64
	Breakers []Breaker
}

// Health reads it: the events and rejections of a day, by their time, and the
// deliveries that wait. Where a day has millions of events it takes its time.
func (d *DB) Health(ctx context.Context, now time.Time) (Health, error) {
	var h Health
	day, hour := d.engine.Time(now.Add(-24*time.Hour)), d.engine.Time(now.Add(-time.Hour))
	for _, q := range []struct {
		text string
		args []any
		each func(*sql.Rows) error
	}{
		{`select topic, max(occurred_at), sum(case when occurred_at >= $2 then 1 else 0 end), sum(case when duplicate then 1 else 0 end)
			from v_events where occurred_at >= $1 and topic <> '' group by topic order by topic`, []any{day, hour}, func(rows *sql.Rows) error {
			var s SourceHealth
			err := rows.Scan(&s.Topic, instant{&s.Last}, &s.LastHour, &s.Duplicates)
			h.Sources = append(h.Sources, s)
			return err
		}},
		{`select count(*), min(queued_at) from deliveries where state = 'waiting'`, nil, func(rows *sql.Rows) error {
			return rows.Scan(&h.Waiting, instant{&h.Oldest})
		}},
		{`select count(*) from rejections where rejected_at >= $1`, []any{day}, func(rows *sql.Rows) error {
			return rows.Scan(&h.Rejected)
		}},
		{`select subscription_id, coalesce(subscription_name, ''), coalesce(last_change_reason, ''), last_change_at, until
			from v_endpoint_health where last_change = 'breaker_opened' order by subscription_id limit 200`, nil, func(rows *sql.Rows) error {
			var b Breaker
			err := rows.Scan(&b.SubscriptionID, &b.Name, &b.Reason, instant{&b.Since}, instant{&b.Until})
			h.Breakers = append(h.Breakers, b)
			return err
		}},
	} {
		if err := d.read(ctx, q.text, q.args, q.each); err != nil {
			return Health{}, fmt.Errorf("reading the flow's health: %w", err)
		}
	}
	return h, nil
}
