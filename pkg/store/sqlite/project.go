package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/internal/reduce"
)

// rowsAtOnce is the number of rows of one insert statement.
const rowsAtOnce = 16

// Project writes a batch in one transaction.
func (e *engine) Project(ctx context.Context, b *store.Batch) (store.Projected, error) {
	rows := reduce.Of(b)
	tx, err := e.writer.BeginTx(ctx, nil)
	if err != nil {
		return store.Projected{}, fmt.Errorf("beginning to project: %w", err)
	}
	defer tx.Rollback()
	w := &write{ctx: ctx, tx: tx, clock: e.Time}
	n, err := w.all(rows)
	if err != nil {
		if refused(err) {
			err = fmt.Errorf("%w: %w", store.ErrUnstorable, err)
		}
		return store.Projected{}, err
	}
	if err := tx.Commit(); err != nil {
		return store.Projected{}, fmt.Errorf("committing what was projected: %w", err)
	}
	return n, nil
}

// write is one transaction on its way.
type write struct {
	ctx   context.Context
	tx    *sql.Tx
	clock reduce.Clock
}

func (w *write) all(r *reduce.Rows) (n store.Projected, err error) {
	steps := []func() error{
		func() error { return w.offsets(r.Offsets) },
		func() (err error) { n.Events, err = w.events(r); return },
		func() (err error) { _, err = w.insert(r.RepeatTable()); return },
		func() (err error) { _, err = w.insert(r.DecisionTable(w.clock)); return },
		func() (err error) { n.Deliveries, err = w.insert(r.DeliveryTable(w.clock)); return },
		func() (err error) { n.Attempts, err = w.attempts(r); return },
		func() (err error) { n.Deferrals, err = w.insert(r.DeferralTable(w.clock)); return },
		func() (err error) { n.Rejections, err = w.insert(r.RejectionTable(w.clock)); return },
		func() (err error) { n.Changes, err = w.insert(r.ChangeTable(w.clock)); return },
		func() (err error) { _, err = w.insert(r.EndpointTable(w.clock)); return },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return store.Projected{}, err
		}
	}
	return n, nil
}

func (w *write) offsets(offsets []store.Offset) error {
	now := w.clock(time.Now())
	for _, o := range offsets {
		until := w.clock(o.Until)
		res, err := w.tx.ExecContext(w.ctx, `update projector_offsets set next_offset = $1, updated_at = $2,
			projected_until = case when projected_until is null or $3 > projected_until then $3 else projected_until end
			where topic = $4 and partition = $5 and next_offset = $6`, o.To, now, until, o.Topic, o.Partition, o.From)
		if err != nil {
			return fmt.Errorf("moving offsets: %w", err)
		}
		if moved, _ := res.RowsAffected(); moved == 0 && o.From == 0 {
			res, err = w.tx.ExecContext(w.ctx, `insert into projector_offsets (topic, partition, next_offset, projected_until, updated_at)
				values ($1, $2, $3, $4, $5) on conflict do nothing`, o.Topic, o.Partition, o.To, until, now)
			if err != nil {
				return fmt.Errorf("adding offsets: %w", err)
			}
		}
		if moved, _ := res.RowsAffected(); moved == 0 {
			return fmt.Errorf("%w: %s/%d is not at %d", store.ErrOffsetMoved, o.Topic, o.Partition, o.From)
		}
	}
	return nil
}

// events writes events, their payloads, and which of their records are repeats.
func (w *write) events(r *reduce.Rows) (int64, error) {
	if len(r.Events) == 0 {
		return 0, nil
	}
	ids := make([]any, len(r.Events))
	for i := range r.Events {
		ids[i] = r.Events[i].EventID
	}
	known := map[string]reduce.Event{}
	err := chunks(ids, 500, func(part []any) error {
		return w.query(`select event_id, duplicate, routed_at, src_topic, src_partition, src_offset from events where event_id in (`+marks(len(part))+`)`, part,
			func(rows *sql.Rows) error {
				var e reduce.Event
				var routed string
				if err := rows.Scan(&e.EventID, &e.Duplicate, &routed, &e.Position.Topic, &e.Position.Partition, &e.Position.Offset); err != nil {
					return err
				}
				var err error
				e.RoutedAt, err = time.Parse(store.TimeLayout, routed)
				known[e.EventID] = e
				return err
			})
	})
	if err != nil {
		return 0, fmt.Errorf("reading known events: %w", err)
	}
	kept := r.Meet(known)
	payloads := reduce.Table{
		Name: "payloads", Columns: []string{"event_id", "stored_at", "payload"},
		Conflict: "on conflict (event_id) do update set stored_at = excluded.stored_at, payload = excluded.payload",
	}
	payloads.Len = len(kept)
	payloads.Row = func(i int, cells []any) []any {
		return append(cells, kept[i].EventID, w.clock(kept[i].RoutedAt), kept[i].Payload)
	}
	if _, err := w.insert(r.EventTable(w.clock)); err != nil {
		return 0, err
	}
	if _, err := w.insert(payloads); err != nil {
		return 0, err
	}
	return int64(len(r.Events) - len(known)), nil
}

// attempts writes attempts and counts those that are new into the hours.
func (w *write) attempts(r *reduce.Rows) (int64, error) {
	if len(r.Attempts) == 0 {
		return 0, nil
	}
	byID := make(map[string]*reduce.Attempt, len(r.Attempts))
	for i := range r.Attempts {
		byID[r.Attempts[i].AttemptID] = &r.Attempts[i]
	}
	type bucket struct {
		subscription, hour, cause, result string
		latency                           int32
	}
	counts := map[bucket]int64{}
	var added int64
	err := w.insertReturning(r.AttemptTable(w.clock), "attempt_id", func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		a := byID[id]
		added++
		counts[bucket{a.SubscriptionID, a.StartedAt.Truncate(time.Hour).Format(store.TimeLayout), a.Cause, a.Result, a.Bucket}]++
		return nil
	})
	if err != nil {
		return 0, err
	}
	hours := reduce.Table{Name: "subscription_hours", Columns: strings.Fields("subscription_id hour cause result latency_bucket n"), Conflict: reduce.HoursConflict}
	keys := slices.Collect(maps.Keys(counts))
	hours.Len = len(keys)
	hours.Row = func(i int, cells []any) []any {
		b := keys[i]
		return append(cells, b.subscription, b.hour, b.cause, b.result, b.latency, counts[b])
	}
	_, err = w.insert(hours)
	return added, err
}

// insert adds a table's rows and answers how many it touched.
func (w *write) insert(t reduce.Table) (int64, error) {
	var n int64
	err := w.each(t, "", func(st *sql.Stmt, args []any) error {
		res, err := st.ExecContext(w.ctx, args...)
		if err != nil {
			return err
		}
		k, err := res.RowsAffected()
		n += k
		return err
	})
	return n, err
}

func (w *write) insertReturning(t reduce.Table, returning string, scan func(*sql.Rows) error) error {
	return w.each(t, " returning "+returning, func(st *sql.Stmt, args []any) error {
		rows, err := st.QueryContext(w.ctx, args...)
		if err != nil {
			return err
		}
		return drain(rows, scan)
	})
}

// each runs the insert of a table over its rows, rowsAtOnce at a time.
func (w *write) each(t reduce.Table, tail string, run func(*sql.Stmt, []any) error) error {
	for i := 0; i < t.Len; {
		size := min(rowsAtOnce, t.Len-i)
		st, err := w.tx.PrepareContext(w.ctx, insertText(t, size)+tail)
		if err != nil {
			return fmt.Errorf("preparing to write %s: %w", t.Name, err)
		}
		args := make([]any, 0, size*len(t.Columns))
		for t.Len-i >= size && err == nil {
			args = args[:0]
			for range size {
				args = t.Row(i, args)
				i++
			}
			err = run(st, args)
		}
		st.Close()
		if err != nil {
			return fmt.Errorf("writing %s: %w", t.Name, err)
		}
	}
	return nil
}

func (w *write) query(text string, args []any, scan func(*sql.Rows) error) error {
	rows, err := w.tx.QueryContext(w.ctx, text, args...)
	if err != nil {
		return err
	}
	return drain(rows, scan)
}

func drain(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func insertText(t reduce.Table, rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.Columns)), ",") + ")"
	return "insert into " + t.Name + " (" + strings.Join(t.Columns, ", ") + ") values " +
		strings.TrimSuffix(strings.Repeat(one+",", rows), ",") + " " + t.Conflict
}

func marks(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(out, ",")
}

func chunks(args []any, size int, f func([]any) error) error {
	for len(args) > 0 {
		n := min(size, len(args))
		if err := f(args[:n]); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}
