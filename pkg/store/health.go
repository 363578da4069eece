package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// SourceHealth is what came from a source topic within a day.
type SourceHealth struct {
	Topic string
	Last  time.Time
	// LastHour counts the events of the last hour, HourLastWeek those of the same
	// hour a week ago.
	LastHour, HourLastWeek int64
	// Duplicates are further records of events that were here already.
	Duplicates int64
}

// Breaker is an endpoint that is left alone.
type Breaker struct {
	SubscriptionID, Name, Reason string
	Since, Until                 time.Time
}

// Health is what the store knows of the flow's health.
type Health struct {
	Sources []SourceHealth
	// WeekKnown is whether the store reaches back to the same hour a week ago.
	WeekKnown bool
	Waiting   int64
	// Oldest is when the oldest of those that wait was queued.
	Oldest time.Time
	// OldestUnsent is when the oldest delivery was queued that has not come to its
	// end, whether it was tried or not. Zero when there is none.
	OldestUnsent time.Time
	Rejected     int64
	Breakers     []Breaker
	// PutOff counts what senders have put off within PutOffWithin, by reason, the
	// most frequent first: what an endpoint, or a sender, had no room for.
	PutOff []PutOff
}

// PutOff counts deliveries that were put off for one reason.
type PutOff struct {
	Reason string
	N      int64
}

// PutOffWithin is how far back Health counts what was put off, of which it reads
// putOffRead at most.
const (
	PutOffWithin = 10 * time.Minute
	putOffRead   = 10_000
)

const week = 7 * 24 * time.Hour

// Health reads it, whatever the day had of events: from counters by minute, and
// by indices of what has not come to its end.
func (d *DB) Health(ctx context.Context, now time.Time) (Health, error) {
	var h Health
	minute := now.UTC().Truncate(time.Minute)
	day, hour := d.engine.Time(minute.Add(-24*time.Hour)), d.engine.Time(minute.Add(-59*time.Minute))
	weekAgo := map[string]int64{}
	for _, q := range []struct {
		text string
		args []any
		each func(*sql.Rows) error
	}{
		{`select topic, cast(sum(n) as bigint) from source_minutes where minute >= $1 and minute <= $2 group by topic`,
			[]any{d.engine.Time(minute.Add(-59*time.Minute - week)), d.engine.Time(minute.Add(-week))}, func(rows *sql.Rows) error {
				var topic string
				var n int64
				err := rows.Scan(&topic, &n)
				weekAgo[topic] = n
				return err
			}},
		{`select minute from source_minutes order by minute limit 1`, nil, func(rows *sql.Rows) error {
			var first time.Time
			err := rows.Scan(instant{&first})
			h.WeekKnown = !first.After(minute.Add(-59*time.Minute - week))
			return err
		}},
		{`select topic, max(last_at), cast(sum(case when minute >= $2 then n else 0 end) as bigint), cast(sum(repeats) as bigint)
			from source_minutes where minute >= $1 group by topic order by topic`, []any{day, hour}, func(rows *sql.Rows) error {
			var s SourceHealth
			err := rows.Scan(&s.Topic, instant{&s.Last}, &s.LastHour, &s.Duplicates)
			h.Sources = append(h.Sources, s)
			return err
		}},
		{`select count(*), min(queued_at) from deliveries where state = 'waiting'`, nil, func(rows *sql.Rows) error {
			return rows.Scan(&h.Waiting, instant{&h.Oldest})
		}},
		{`select queued_at from deliveries where state = 'queued' order by queued_at limit 1`, nil, func(rows *sql.Rows) error {
			return rows.Scan(instant{&h.OldestUnsent})
		}},
		{`select reason, count(*) from (select reason from deferrals where at >= $1 and at <= $2 order by at desc limit ` + strconv.Itoa(putOffRead) + `) newest
			group by reason order by count(*) desc, reason`, []any{d.engine.Time(now.Add(-PutOffWithin)), d.engine.Time(now)}, func(rows *sql.Rows) error {
			var p PutOff
			err := rows.Scan(&p.Reason, &p.N)
			h.PutOff = append(h.PutOff, p)
			return err
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
	if !h.Oldest.IsZero() && (h.OldestUnsent.IsZero() || h.Oldest.Before(h.OldestUnsent)) {
		h.OldestUnsent = h.Oldest
	}
	h.compare(weekAgo)
	return h, nil
}

// compare adds what came a week ago. A topic from which nothing came today, and
// something did then, is among them.
func (h *Health) compare(weekAgo map[string]int64) {
	for i := range h.Sources {
		s := &h.Sources[i]
		s.HourLastWeek = weekAgo[s.Topic]
		delete(weekAgo, s.Topic)
	}
	for topic, n := range weekAgo {
		h.Sources = append(h.Sources, SourceHealth{Topic: topic, HourLastWeek: n})
	}
}
