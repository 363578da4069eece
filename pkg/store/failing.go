package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// When a subscription is switched off because its endpoint fails.
const (
	// FailingAttempts failed ones, the first and the last FailingFor apart, and
	// none that succeeded since the first.
	FailingAttempts = 10
	FailingFor      = 3 * 24 * time.Hour

	// failingRecent: endpoints with an attempt in it count when an outage of our
	// own is told from one of theirs.
	failingRecent = time.Hour
	// failingStale is the age of figures by which nobody is judged any more: what
	// is not projected yet may be a success.
	failingStale = 5 * time.Minute
)

// FailingSubscription is one that has failed for so long that it is to be
// switched off.
type FailingSubscription struct {
	SubscriptionID string
	Version        int64
	// Since is the first failure after the last success, and after the last change
	// of the subscription.
	Since, Last time.Time
}

// FailingSubscriptions are the active subscriptions with FailingAttempts failed
// attempts or more over FailingFor or longer, without one success, since they
// were last changed. There are none while more than half of all endpoints with
// attempts in the last hour fail, which is an outage of our own, nor while
// history is behind.
func (d *DB) FailingSubscriptions(ctx context.Context, now time.Time) ([]FailingSubscription, error) {
	out, err := d.failing(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("looking for endpoints that fail for long: %w", err)
	}
	return out, nil
}

func (d *DB) failing(ctx context.Context, now time.Time) ([]FailingSubscription, error) {
	var stale int
	if err := d.sql.QueryRowContext(ctx, `select count(*) from projector_offsets where projected_until is null or projected_until < $1`,
		d.engine.Time(now.Add(-failingStale))).Scan(&stale); err != nil || stale > 0 {
		return nil, err
	}
	var recent, failing int
	if err := d.sql.QueryRowContext(ctx, `select count(*), coalesce(sum(case when last_failure_at is not null and (last_success_at is null or last_failure_at > last_success_at) then 1 else 0 end), 0)
		from endpoints where last_success_at >= $1 or last_failure_at >= $1`, d.engine.Time(now.Add(-failingRecent))).Scan(&recent, &failing); err != nil {
		return nil, err
	}
	if failing*2 > recent {
		return nil, nil
	}
	// First those that can be it, from one row each.
	var candidates []FailingSubscription
	err := d.read(ctx, `select s.id, s.version, s.updated_at, e.last_success_at, e.last_failure_at from subscriptions s
		join endpoints e on e.subscription_id = s.id
		where s.active and not s.deleted and e.last_failure_at is not null and (e.last_success_at is null or e.last_failure_at > e.last_success_at)
		order by s.id`, nil, func(rows *sql.Rows) error {
		var c FailingSubscription
		var success time.Time
		if err := rows.Scan(&c.SubscriptionID, &c.Version, instant{&c.Since}, instant{&success}, instant{&c.Last}); err != nil {
			return err
		}
		if success.After(c.Since) {
			c.Since = success
		}
		if c.Last.Sub(c.Since) >= FailingFor {
			candidates = append(candidates, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []FailingSubscription
	for _, c := range candidates {
		n, first := 0, time.Time{}
		err := d.read(ctx, fmt.Sprintf(`select started_at from attempts where subscription_id = $1 and started_at > $2 and result = 'failed' order by started_at limit %d`, FailingAttempts),
			[]any{c.SubscriptionID, d.engine.Time(c.Since)}, func(rows *sql.Rows) error {
				var at time.Time
				if err := rows.Scan(instant{&at}); err != nil {
					return err
				}
				if n++; n == 1 {
					first = at
				}
				return nil
			})
		if err != nil {
			return nil, err
		}
		if n >= FailingAttempts && c.Last.Sub(first) >= FailingFor {
			c.Since = first
			out = append(out, c)
		}
	}
	return out, nil
}
