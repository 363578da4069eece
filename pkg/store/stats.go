package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// SubscriptionStats are the figures of these subscriptions, or of all when none is
// named, as far as they have any, from the hour of since on. Hourly is of the last
// 24 hours, whatever since is. However many there are, it takes the same few
// queries.
func (d *DB) SubscriptionStats(ctx context.Context, since time.Time, ids ...string) (map[string]SubscriptionStats, error) {
	s := stats{d: d, of: map[string]*SubscriptionStats{}, since: since.UTC().Truncate(time.Hour), ids: ids}
	for _, step := range []func(context.Context) error{s.hours, s.last, s.waiting} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("reading statistics: %w", err)
		}
	}
	out := make(map[string]SubscriptionStats, len(s.of))
	for id, v := range s.of {
		out[id] = *v
	}
	return out, nil
}

type stats struct {
	d     *DB
	of    map[string]*SubscriptionStats
	since time.Time
	ids   []string
}

// filter selects the subscriptions that were asked for.
func (s *stats) filter(column string) *filter {
	f := &filter{d: s.d}
	f.in(column, s.ids)
	return f
}

func (s *stats) get(id string) *SubscriptionStats {
	v := s.of[id]
	if v == nil {
		v = &SubscriptionStats{}
		s.of[id] = v
	}
	return v
}

// hours adds up the counters that the projector keeps by hour: by hour, for the
// hours shown, and by latency, for its quantile. Both are sums, so that a week of a
// hundred webhooks is a few thousand rows and not every counter there is.
func (s *stats) hours(ctx context.Context) error {
	newest := s.d.now().UTC().Truncate(time.Hour)
	oldest := newest.Add(-23 * time.Hour)
	from := s.since
	if oldest.Before(from) {
		from = oldest
	}
	latencies := map[string]map[int32]int64{}
	f := s.filter("subscription_id")
	f.between("hour", from, time.Time{})
	f.where = append(f.where, "cause <> 'test'", "result <> 'not_sent'")
	text := `with counted as (select subscription_id, hour, result, latency_bucket, n from subscription_hours` + f.text() + `)
		select subscription_id, hour, -1, cast(sum(n) as bigint), cast(sum(case when result = 'delivered' then n else 0 end) as bigint) from counted group by subscription_id, hour
		union all
		select subscription_id, null, latency_bucket, cast(sum(n) as bigint), 0 from counted where hour >= ` + f.arg(s.d.engine.Time(s.since)) + ` group by subscription_id, latency_bucket`
	err := s.d.read(ctx, text, f.args, func(rows *sql.Rows) error {
		var id string
		var hour time.Time
		var bucket int32
		var n, delivered int64
		if err := rows.Scan(&id, instant{&hour}, &bucket, &n, &delivered); err != nil {
			return err
		}
		if hour.IsZero() {
			if latencies[id] == nil {
				latencies[id] = map[int32]int64{}
			}
			latencies[id][bucket] = n
			return nil
		}
		v := s.get(id)
		if !hour.Before(s.since) {
			v.Attempts += n
			v.Delivered += delivered
			v.Failed += n - delivered
		}
		if i := int(hour.Sub(oldest) / time.Hour); !hour.Before(oldest) && i < len(v.Hourly) {
			v.Hourly[i].Delivered += delivered
			v.Hourly[i].Failed += n - delivered
		}
		return nil
	})
	for id, buckets := range latencies {
		s.of[id].P95 = quantile(buckets, 0.95)
	}
	return err
}

// last adds the last attempt of each. PostgreSQL, left to itself, may join the
// endpoints with all attempts there are: a limit makes it look each one up.
func (s *stats) last(ctx context.Context) error {
	tables := ` from endpoints h cross join lateral (select * from attempts x
		where x.attempt_id = h.last_attempt_id and x.started_at = h.last_attempt_at limit 1) a left join subscriptions s on s.id = a.subscription_id`
	if s.d.Dialect() == "sqlite" {
		tables = ` from endpoints h join attempts a on a.attempt_id = h.last_attempt_id and a.started_at = h.last_attempt_at left join subscriptions s on s.id = a.subscription_id`
	}
	f := s.filter("h.subscription_id")
	attempts, err := s.d.attemptsFrom(ctx, tables, f.text(), f.args)
	for i := range attempts {
		s.get(attempts[i].SubscriptionID).LastAttempt = &attempts[i]
	}
	return err
}

// waiting counts what waits for its next attempt.
func (s *stats) waiting(ctx context.Context) error {
	f := s.filter("subscription_id")
	f.where = append(f.where, "state = 'waiting'")
	return s.d.read(ctx, `select subscription_id, count(*), min(next_attempt_at) from deliveries`+f.text()+` group by subscription_id`, f.args,
		func(rows *sql.Rows) error {
			var id string
			var n int64
			var next time.Time
			if err := rows.Scan(&id, &n, instant{&next}); err != nil {
				return err
			}
			v := s.get(id)
			v.Waiting, v.NextRetry = n, next
			return nil
		})
}

// quantile is the top of the bucket in which the quantile lies.
func quantile(buckets map[int32]int64, q float64) time.Duration {
	var total int64
	last := int32(0)
	for b, n := range buckets {
		if b == NoLatency {
			continue
		}
		total += n
		last = max(last, b)
	}
	if total == 0 {
		return 0
	}
	rank := int64(float64(total)*q + 0.999999)
	var sum int64
	for b := int32(0); b <= last; b++ {
		if sum += buckets[b]; sum >= rank {
			return bucketTop(b)
		}
	}
	return bucketTop(last)
}
