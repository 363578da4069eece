package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ExpirePayloads drops the payloads of events routed before a time. The events
// stay, and say that their payload has expired.
func (d *DB) ExpirePayloads(ctx context.Context, before time.Time) error {
	_, err := d.expirePayloads(ctx, before)
	return err
}

func (d *DB) expirePayloads(ctx context.Context, before time.Time) (int64, error) {
	text := `delete from payloads where ctid = any(array(select ctid from payloads where stored_at < $1 order by stored_at limit $2))`
	if d.Dialect() == "sqlite" {
		text = `update events set payload = null where rowid in (select rowid from events where payload is not null and routed_at < $1 order by routed_at limit $2)`
	}
	n, err := d.batches(ctx, text, before, pruneBatch)
	if err != nil {
		return n, fmt.Errorf("expiring payloads: %w", err)
	}
	return n, nil
}

// Retention says how long the store keeps what. Zero keeps for ever.
type Retention struct {
	// Payloads are the CDRs themselves. What is left of an event without one
	// cannot be sent again.
	Payloads time.Duration
	// History is all that happened: attempts, deliveries, events, rejections,
	// changes of endpoints, counts.
	History time.Duration
	// Audit is who did what, and replays.
	Audit time.Duration
}

// MinHistory is longer than any delivery waits: what is on its way is kept.
const MinHistory = 8 * 24 * time.Hour

// Check says what is wrong with the periods.
func (r Retention) Check() error {
	switch {
	case r.Payloads < 0 || r.History < 0 || r.Audit < 0:
		return errors.New("a period is negative; 0 keeps for ever")
	case r.History > 0 && r.History < MinHistory:
		return fmt.Errorf("history is kept for %s: the least is %s, since a delivery may wait for days", r.History, MinHistory)
	case r.History > 0 && (r.Payloads == 0 || r.Payloads > r.History):
		return errors.New("payloads cannot be kept longer than the history that they belong to")
	}
	return nil
}

// pruneBatch bounds what one transaction deletes, so that nobody waits long for it.
const pruneBatch = 2000

// pruned are the tables besides attempts and events, in their order, by the time
// that counts and what must hold besides.
var pruned = []struct {
	table, column, and string
	audit              bool
}{
	{table: "deferrals", column: "at"},
	// What may still be sent stays, however old it is.
	{table: "deliveries", column: "queued_at", and: "and state not in ('queued', 'waiting')"},
	{table: "rejections", column: "rejected_at"},
	// The last change says how an endpoint stands.
	{table: "endpoint_changes", column: "at", and: `and exists (select 1 from endpoint_changes later
		where later.subscription_id = endpoint_changes.subscription_id and (later.at, later.change_id) > (endpoint_changes.at, endpoint_changes.change_id))`},
	{table: "subscription_hours", column: "hour"},
	{table: "source_minutes", column: "minute"},
	{table: "audit", column: "at", audit: true},
	{table: "replays", column: "created_at", and: "and ended_at is not null", audit: true},
	// Its digests outlast it where Kafka keeps for ever.
	{table: "erasures", column: "created_at", and: "and ended_at is not null and not exists (select 1 from erasure_keys where erasure_keys.erasure_id = erasures.id)", audit: true},
}

// Prune deletes what is past its period, payloads first. It works in small
// transactions; what was done stays done when ctx ends. counts are rows by table
// (day partitions for attempts in PostgreSQL), also when an error ends it.
func (d *DB) Prune(ctx context.Context, now time.Time, r Retention) (counts map[string]int64, err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if err := d.pruneErasures(ctx, now); err != nil {
		return nil, err
	}
	counts = map[string]int64{}
	note := func(name string, n int64, err error) error {
		counts[name] += n
		if err != nil {
			return fmt.Errorf("pruning %s: %w", name, err)
		}
		return nil
	}
	if r.Payloads > 0 {
		n, err := d.expirePayloads(ctx, now.Add(-r.Payloads))
		if err := note("payloads", n, err); err != nil {
			return counts, err
		}
	}
	if r.History > 0 {
		n, err := d.pruneAttempts(ctx, now.Add(-r.History))
		if err := note("attempts", n, err); err != nil {
			return counts, err
		}
	}
	for _, p := range pruned {
		period := r.History
		if p.audit {
			period = r.Audit
		}
		if period <= 0 {
			continue
		}
		n, err := d.batches(ctx, d.deleteSome(p.table, p.column+" < $1 "+p.and), now.Add(-period), pruneBatch)
		if err := note(p.table, n, err); err != nil {
			return counts, err
		}
	}
	if r.History > 0 {
		n, err := d.pruneEvents(ctx, now.Add(-r.History))
		if err := note("events", n, err); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// dayKeeper is an engine that keeps attempts by day, so that a whole day goes at
// once.
type dayKeeper interface {
	DropDays(ctx context.Context, before time.Time) (int64, error)
}

func (d *DB) pruneAttempts(ctx context.Context, before time.Time) (int64, error) {
	if k, ok := d.engine.(dayKeeper); ok {
		return k.DropDays(ctx, before)
	}
	return d.batches(ctx, d.deleteSome("attempts", "started_at < $1"), before, pruneBatch)
}

// pruneEvents deletes events that no delivery speaks of any more, and what belongs
// to them.
func (d *DB) pruneEvents(ctx context.Context, before time.Time) (total int64, err error) {
	const few = 500
	for {
		var n int64
		err := d.write(ctx, func(tx *sql.Tx) error {
			ids, err := someEvents(ctx, tx, d.stamp(before), few)
			if err != nil || len(ids) == 0 {
				return err
			}
			marks := make([]string, len(ids))
			for i := range marks {
				marks[i] = "$" + strconv.Itoa(i+1)
			}
			for _, table := range []string{"payloads", "event_repeats", "event_decisions", "erased_events", "events"} {
				if table == "payloads" && d.Dialect() == "sqlite" {
					continue // part of the event's row
				}
				text := `delete from ` + table + ` where event_id in (` + strings.Join(marks, ",") + `)` //nolint:gosec // marks are $1, $2 …
				if _, err := tx.ExecContext(ctx, text, ids...); err != nil {
					return err
				}
			}
			n = int64(len(ids))
			return nil
		})
		if err != nil {
			return total, err
		}
		if total += n; n < few {
			return total, nil
		}
	}
}

func someEvents(ctx context.Context, tx *sql.Tx, before any, limit int) (ids []any, err error) {
	rows, err := tx.QueryContext(ctx, `select event_id from events where occurred_at < $1 and routed_at < $1
		and not exists (select 1 from deliveries where deliveries.event_id = events.event_id) order by occurred_at limit $2`, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// deleteSome is a statement that deletes at most $2 rows for which a condition on
// $1 holds.
func (d *DB) deleteSome(table, condition string) string {
	some := `select %s from ` + table + ` where ` + condition + ` limit $2`
	if d.Dialect() == "sqlite" {
		return `delete from ` + table + ` where rowid in (` + fmt.Sprintf(some, "rowid") + `)`
	}
	return `delete from ` + table + ` where ctid = any(array(` + fmt.Sprintf(some, "ctid") + `))`
}

// batches repeats a statement on ($1, $2) = (time, size) until it finds fewer rows.
func (d *DB) batches(ctx context.Context, text string, before time.Time, size int64) (total int64, err error) {
	for {
		result, err := d.writer.ExecContext(ctx, text, d.stamp(before), size)
		if err != nil {
			return total, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return total, err
		}
		if total += n; n < size {
			return total, nil
		}
	}
}
