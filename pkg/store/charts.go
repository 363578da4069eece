package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ChartQuery asks for the charts of one subscription: buckets of Step from From
// (inclusive) to To (exclusive), both on a whole Step.
type ChartQuery struct {
	SubscriptionID string
	From, To       time.Time
	Step           time.Duration
	// Now ends the 24 hours of the endpoint's health.
	Now time.Time
}

// ChartRanges are the ranges that people choose from, shortest first.
var ChartRanges = []string{"1h", "24h", "7d"}

// ChartOf is a range of ChartRanges up to now; the last bucket is still going on.
func ChartOf(subscriptionID, name string, now time.Time) (ChartQuery, bool) {
	var length, step time.Duration
	switch name {
	case "1h":
		length, step = time.Hour, 2*time.Minute
	case "24h":
		length, step = 24*time.Hour, time.Hour
	case "7d":
		length, step = week, 6*time.Hour
	default:
		return ChartQuery{}, false
	}
	to := now.UTC().Truncate(step).Add(step)
	return ChartQuery{SubscriptionID: subscriptionID, From: to.Add(-length), To: to, Step: step, Now: now.UTC()}, true
}

// How many attempts charts read at most: all they show of them where buckets are
// finer than the counters by hour; only HTTP status and error where buckets come
// from the counters, which know each attempt, but not these.
const (
	chartAttempts = 100_000
	codeAttempts  = 20_000
)

// Charts are the figures of one subscription. Tests are left out.
type Charts struct {
	ChartQuery
	Buckets []ChartBucket
	// Total is all buckets in one.
	Total ChartBucket
	// Codes are HTTP statuses and Errors classes of errors, the most frequent first.
	Codes  []CodeCount
	Errors []ErrorCount
	// CodesFrom is from when on Codes and Errors count; that is later than From when
	// there are more attempts than charts read. BucketsFrom is the same for Buckets.
	CodesFrom, BucketsFrom time.Time
	// Hours are the endpoint's last 24 hours, the current one last.
	Hours   [24]HourHealth
	Waiting Waiting
	// Breaker is nil unless the endpoint is left alone.
	Breaker *Breaker
}

// ChartBucket is one bucket. The quantiles are those of what was sent, at most 10 %
// too high, and zero where nothing was.
type ChartBucket struct {
	At                         time.Time
	Delivered, Failed, NotSent int64
	P50, P95, P99              time.Duration
}

// CodeCount counts the answers of one HTTP status.
type CodeCount struct {
	Status int32
	N      int64
}

// ErrorCount counts the attempts that failed with one class of error.
type ErrorCount struct {
	Class string
	N     int64
}

// HourHealth is an endpoint's hour. LeftAlone says that its breaker was open at
// some time of it.
type HourHealth struct {
	At                time.Time
	Delivered, Failed int64
	LeftAlone         bool
}

// Waiting is what waits for its next attempt. Oldest is when the oldest of them was
// queued, Next when the first is due; both are zero when nothing waits.
type Waiting struct {
	N            int64
	Oldest, Next time.Time
}

// Charts reads all charts of a subscription.
func (d *DB) Charts(ctx context.Context, q ChartQuery) (*Charts, error) {
	if q.Now.IsZero() {
		q.Now = d.now().UTC()
	}
	q.SubscriptionID = CleanID(q.SubscriptionID)
	if q.Step <= 0 || !q.From.Before(q.To) || q.To.Sub(q.From)/q.Step > 1000 {
		return nil, fmt.Errorf("reading charts: from %s to %s in steps of %s is no range", q.From, q.To, q.Step)
	}
	c := charter{d: d, c: Charts{ChartQuery: q, CodesFrom: q.From, BucketsFrom: q.From}, latencies: map[int]map[int32]int64{}, codes: map[int32]int64{}, errors: map[string]int64{}}
	for at := q.From; at.Before(q.To); at = at.Add(q.Step) {
		c.c.Buckets = append(c.c.Buckets, ChartBucket{At: at})
	}
	steps := []func(context.Context) error{c.hours, c.attempts, c.health, c.changes, c.waiting, c.breaker}
	if q.Step < time.Hour {
		steps = steps[1:]
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("reading charts: %w", err)
		}
	}
	c.finish()
	return &c.c, nil
}

type charter struct {
	d         *DB
	c         Charts
	latencies map[int]map[int32]int64
	codes     map[int32]int64
	errors    map[string]int64
}

// add counts n attempts of the bucket in which at lies.
func (c *charter) add(at time.Time, result string, latency int32, n int64) {
	i := int(at.Sub(c.c.From) / c.c.Step)
	if at.Before(c.c.From) || i >= len(c.c.Buckets) {
		return
	}
	b := &c.c.Buckets[i]
	switch result {
	case ResultDelivered:
		b.Delivered += n
	case ResultNotSent:
		b.NotSent += n
		return
	default:
		b.Failed += n
	}
	if c.latencies[i] == nil {
		c.latencies[i] = map[int32]int64{}
	}
	c.latencies[i][latency] += n
}

// hours fills the buckets from the counters by hour.
func (c *charter) hours(ctx context.Context) error {
	return c.d.read(ctx, `select hour, result, latency_bucket, cast(sum(n) as bigint) from subscription_hours
		where subscription_id = $1 and hour >= $2 and hour < $3 and cause <> 'test' group by hour, result, latency_bucket`,
		[]any{c.c.SubscriptionID, c.d.engine.Time(c.c.From), c.d.engine.Time(c.c.To)}, func(rows *sql.Rows) error {
			var at time.Time
			var result string
			var latency int32
			var n int64
			err := rows.Scan(instant{&at}, &result, &latency, &n)
			c.add(at, result, latency, n)
			return err
		})
}

// step is the beginning of the bucket in which a column lies, whose width is less
// than an hour.
func (c *charter) step(column string) string {
	if c.c.Step >= time.Hour {
		return "null"
	}
	s := strconv.Itoa(int(c.c.Step / time.Second))
	if c.d.Dialect() == "sqlite" {
		return `strftime('%Y-%m-%dT%H:%M:%S.000000Z', (unixepoch(` + column + `) / ` + s + `) * ` + s + `, 'unixepoch')`
	}
	return `date_bin('` + s + ` seconds', ` + column + `, timestamptz '2000-01-01 00:00:00+00')`
}

// attempts reads codes and errors, and the buckets where they are finer than the
// counters, from the newest attempts of the range.
func (c *charter) attempts(ctx context.Context) error {
	fine := c.c.Step < time.Hour
	var total int64
	oldest := c.c.To
	latency, most := "0", int64(codeAttempts)
	if fine {
		latency, most = "latency_bucket", chartAttempts
	}
	text := `select bucket, result, latency, http_status, error_class, count(*), min(started_at) from (
		select ` + c.step("started_at") + ` as bucket, result, ` + latency + ` as latency, http_status, error_class, started_at from attempts
		where subscription_id = $1 and started_at >= $2 and started_at < $3 and cause <> 'test' order by started_at desc limit ` + strconv.FormatInt(most, 10) + `) newest
		group by bucket, result, latency, http_status, error_class`
	err := c.d.read(ctx, text, []any{c.c.SubscriptionID, c.d.engine.Time(c.c.From), c.d.engine.Time(c.c.To)}, func(rows *sql.Rows) error {
		var bucket, first time.Time
		var result, class string
		var latency, status int32
		var n int64
		if err := rows.Scan(instant{&bucket}, &result, &latency, &status, &class, &n, instant{&first}); err != nil {
			return err
		}
		total += n
		if first.Before(oldest) {
			oldest = first
		}
		if fine {
			c.add(bucket, result, latency, n)
		}
		if status > 0 {
			c.codes[status] += n
		}
		if class != "" {
			c.errors[class] += n
		}
		return nil
	})
	if total >= most {
		c.c.CodesFrom = oldest
		if fine {
			c.c.BucketsFrom = oldest
		}
	}
	return err
}

// health fills the 24 hours.
func (c *charter) health(ctx context.Context) error {
	first := c.c.Now.Truncate(time.Hour).Add(-23 * time.Hour)
	for i := range c.c.Hours {
		c.c.Hours[i].At = first.Add(time.Duration(i) * time.Hour)
	}
	return c.d.read(ctx, `select hour, result, cast(sum(n) as bigint) from subscription_hours
		where subscription_id = $1 and hour >= $2 and cause <> 'test' and result <> 'not_sent' group by hour, result`,
		[]any{c.c.SubscriptionID, c.d.engine.Time(first)}, func(rows *sql.Rows) error {
			var at time.Time
			var result string
			var n int64
			if err := rows.Scan(instant{&at}, &result, &n); err != nil {
				return err
			}
			i := int(at.Sub(first) / time.Hour)
			switch {
			case i < 0 || i >= len(c.c.Hours):
			case result == ResultDelivered:
				c.c.Hours[i].Delivered += n
			default:
				c.c.Hours[i].Failed += n
			}
			return nil
		})
}

// changes marks the hours in which the breaker was open.
func (c *charter) changes(ctx context.Context) error {
	first := c.c.Hours[0].At
	var opened time.Time
	mark := func(until time.Time) {
		for i := range c.c.Hours {
			h := &c.c.Hours[i]
			if !opened.IsZero() && h.At.Before(until) && h.At.Add(time.Hour).After(opened) {
				h.LeftAlone = true
			}
		}
	}
	each := func(rows *sql.Rows) error {
		var kind string
		var at time.Time
		if err := rows.Scan(&kind, instant{&at}); err != nil {
			return err
		}
		switch {
		case kind == changeOpened && opened.IsZero():
			opened = at
		case kind == changeClosed:
			mark(at)
			opened = time.Time{}
		}
		return nil
	}
	const kinds = ` and kind in ('breaker_opened', 'breaker_closed')`
	if err := c.d.read(ctx, `select kind, at from endpoint_changes where subscription_id = $1 and at < $2`+kinds+` order by at desc, change_id desc limit 1`,
		[]any{c.c.SubscriptionID, c.d.engine.Time(first)}, each); err != nil {
		return err
	}
	if err := c.d.read(ctx, `select kind, at from endpoint_changes where subscription_id = $1 and at >= $2`+kinds+` order by at, change_id`,
		[]any{c.c.SubscriptionID, c.d.engine.Time(first)}, each); err != nil {
		return err
	}
	mark(c.c.Now)
	return nil
}

const (
	changeOpened = "breaker_opened"
	changeClosed = "breaker_closed"
)

func (c *charter) waiting(ctx context.Context) error {
	return c.d.read(ctx, `select count(*), min(queued_at), min(next_attempt_at) from deliveries where subscription_id = $1 and state = 'waiting'`,
		[]any{c.c.SubscriptionID}, func(rows *sql.Rows) error {
			w := &c.c.Waiting
			return rows.Scan(&w.N, instant{&w.Oldest}, instant{&w.Next})
		})
}

// breaker is open when that is the last that is known of the endpoint.
func (c *charter) breaker(ctx context.Context) error {
	return c.d.read(ctx, `select kind, reason, at, until from endpoint_changes where subscription_id = $1 order by at desc, change_id desc limit 1`,
		[]any{c.c.SubscriptionID}, func(rows *sql.Rows) error {
			var kind string
			b := Breaker{SubscriptionID: c.c.SubscriptionID}
			err := rows.Scan(&kind, &b.Reason, instant{&b.Since}, instant{&b.Until})
			if kind == changeOpened {
				c.c.Breaker = &b
			}
			return err
		})
}

func (b *ChartBucket) measure(latencies map[int32]int64) {
	b.P50, b.P95, b.P99 = quantile(latencies, 0.5), quantile(latencies, 0.95), quantile(latencies, 0.99)
}

func (c *charter) finish() {
	all := map[int32]int64{}
	for i, buckets := range c.latencies {
		c.c.Buckets[i].measure(buckets)
		for latency, n := range buckets {
			all[latency] += n
		}
	}
	total := &c.c.Total
	total.At = c.c.From
	total.measure(all)
	for _, b := range c.c.Buckets {
		total.Delivered, total.Failed, total.NotSent = total.Delivered+b.Delivered, total.Failed+b.Failed, total.NotSent+b.NotSent
	}
	for status, n := range c.codes {
		c.c.Codes = append(c.c.Codes, CodeCount{status, n})
	}
	for class, n := range c.errors {
		c.c.Errors = append(c.c.Errors, ErrorCount{class, n})
	}
	slices.SortFunc(c.c.Codes, func(a, b CodeCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Status, b.Status)) })
	slices.SortFunc(c.c.Errors, func(a, b ErrorCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Class, b.Class)) })
}
