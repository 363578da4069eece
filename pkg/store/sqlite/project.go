package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
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

// Project writes a batch in one transaction. Its commit does not wait for the
// disk where records of Kafka can repeat it: after a power cut the offsets, which
// are in the same transaction, are those of the rows. What a person asked for is
// in no record yet, and waits.
func (e *engine) Project(ctx context.Context, b *store.Batch) (n store.Projected, err error) {
	rows := reduce.Of(b)
	conn, err := e.writer.Conn(ctx)
	if err != nil {
		return n, fmt.Errorf("beginning to project: %w", err)
	}
	defer conn.Close()
	if len(b.Requested) == 0 {
		if err := synchronous(ctx, conn, "normal"); err != nil {
			return n, err
		}
		defer func() {
			if back := synchronous(context.WithoutCancel(ctx), conn, "full"); back != nil {
				// Nobody else may save something on it.
				_ = conn.Raw(func(any) error { return driver.ErrBadConn })
				err = errors.Join(err, back)
			}
		}()
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return n, fmt.Errorf("beginning to project: %w", err)
	}
	defer tx.Rollback()
	w := &write{ctx: ctx, tx: tx, clock: e.Time}
	if n, err = w.unerased(b.Eraser, rows, store.SQLTx(tx, e)); err != nil {
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

func synchronous(ctx context.Context, conn *sql.Conn, how string) error {
	if _, err := conn.ExecContext(ctx, "pragma synchronous = "+how); err != nil {
		return fmt.Errorf("setting how commits are synced: %w", err)
	}
	return nil
}

// write is one transaction on its way.
type write struct {
	ctx   context.Context //nolint:containedctx // lives as long as the one call that makes the write
	tx    *sql.Tx
	clock reduce.Clock
}

// unerased writes all but what was erased.
func (w *write) unerased(eraser *store.Eraser, r *reduce.Rows, tx store.Tx) (n store.Projected, err error) {
	known, err := eraser.Known(w.ctx, tx)
	if err != nil {
		return n, err
	}
	fresh := r.Erase(known)
	if n, err = w.all(r); err != nil || len(fresh) == 0 {
		return n, err
	}
	return n, store.EraseFresh(w.ctx, tx, known, fresh, store.CleanTime(time.Now()))
}

func (w *write) all(r *reduce.Rows) (n store.Projected, err error) {
	steps := []func() error{
		func() error { return w.offsets(r.Offsets) },
		func() (err error) { n.Events, err = w.events(r); return },
		func() error { return w.repeats(r) },
		func() (err error) { _, err = w.insert(r.DecisionTable(w.clock)); return },
		func() (err error) { n.Deliveries, err = w.deliveries(r); return },
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
	r.Meet(known)
	table := r.EventTable(w.clock)
	row := table.Row
	table.Columns = eventColumns
	table.Conflict = eventConflict
	table.Row = func(i int, cells []any) []any { return append(row(i, cells), r.Events[i].Payload) }
	if _, err := w.insert(table); err != nil {
		return 0, err
	}
	counts := minutes{}
	for i := range r.Events {
		e := &r.Events[i]
		if _, there := known[e.EventID]; !there {
			counts.add(e.Position.Topic, e.OccurredAt, 1, 0)
		}
	}
	return int64(len(r.Events) - len(known)), w.count(counts)
}

// An event's row holds its payload.
var (
	eventColumns  = append(slices.Clone(reduce.EventColumns), "payload")
	eventConflict = reduce.EventUpsert(eventColumns)
)

// deliveries writes deliveries. Most that did not begin in this batch are there,
// as they were routed: an update that leaves the indexed columns alone spares
// the indices that an upsert writes anew. What is not as expected takes the upsert.
func (w *write) deliveries(r *reduce.Rows) (int64, error) {
	table := r.DeliveryTable(w.clock)
	st, err := w.tx.PrepareContext(w.ctx, settleText(table.Columns))
	if err != nil {
		return 0, fmt.Errorf("preparing to settle deliveries: %w", err)
	}
	defer st.Close()
	var settled int64
	var others []int
	var cells []any
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Routed || d.LastRank == 0 {
			others = append(others, i)
			continue
		}
		cells = table.Row(i, cells[:0])
		res, err := st.ExecContext(w.ctx, cells...)
		if err != nil {
			return 0, fmt.Errorf("settling deliveries: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil {
			return 0, fmt.Errorf("settling deliveries: %w", err)
		} else if n == 0 {
			others = append(others, i)
		} else {
			settled++
		}
	}
	row := table.Row
	table.Len = len(others)
	table.Row = func(i int, cells []any) []any { return row(others[i], cells) }
	n, err := w.insert(table)
	return n + settled, err
}

// settleText is the update of a delivery by an attempt that is later than all
// that its row knows, and that knows nothing about its identity that the row does
// not. Its arguments are the table's columns.
func settleText(columns []string) string {
	mark := func(c string) string { return "$" + strconv.Itoa(slices.Index(columns, c)+1) }
	list := func(columns []string, f func(string) string) string {
		out := make([]string, len(columns))
		for i, c := range columns {
			out[i] = f(c)
		}
		return strings.Join(out, ", ")
	}
	later := func(order string) string {
		columns := strings.Fields(order)
		return "(" + strings.Join(columns, ", ") + ") < (" + list(columns, mark) + ")"
	}
	where := []string{"delivery_id = " + mark("delivery_id"), later(reduce.StateOrder), later(reduce.AttemptOrder),
		"queued_at <= " + mark("queued_at"), "(occurred_at is not null or " + mark("occurred_at") + " is null)"}
	for _, c := range strings.Fields(reduce.IdentityColumns) {
		where = append(where, "("+c+" <> '' or "+mark(c)+" = '')")
	}
	set := strings.Fields(reduce.StateColumns + " " + reduce.AttemptColumns)
	return "update deliveries set " + list(set, func(c string) string { return c + " = " + mark(c) }) + " where " + strings.Join(where, " and ")
}

// attempts writes attempts and counts those that are new into the hours.
func (w *write) attempts(r *reduce.Rows) (int64, error) {
	if len(r.Attempts) == 0 {
		return 0, nil
	}
	var last int64
	if err := w.tx.QueryRowContext(w.ctx, `select coalesce(max(rowid), 0) from attempts`).Scan(&last); err != nil {
		return 0, fmt.Errorf("reading the last attempt: %w", err)
	}
	added, err := w.insert(r.AttemptTable(w.clock))
	if err != nil {
		return 0, err
	}
	isNew := func(*reduce.Attempt) bool { return true }
	if added < int64(len(r.Attempts)) {
		// Rows are numbered in the order of writing.
		news := make(map[string]bool, added)
		err := w.query(`select attempt_id from attempts where rowid > $1`, []any{last}, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			news[id] = true
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("reading which attempts are new: %w", err)
		}
		isNew = func(a *reduce.Attempt) bool { return news[a.AttemptID] }
	}
	type bucket struct {
		subscription, cause, result string
		hour                        time.Time
		latency                     int32
	}
	counts := map[bucket]int64{}
	for i := range r.Attempts {
		if a := &r.Attempts[i]; isNew(a) {
			counts[bucket{a.SubscriptionID, a.Cause, a.Result, a.StartedAt.Truncate(time.Hour), a.Bucket}]++
		}
	}
	hours := reduce.Table{Name: "subscription_hours", Columns: strings.Fields("subscription_id hour cause result latency_bucket n"), Conflict: reduce.HoursConflict}
	keys := slices.Collect(maps.Keys(counts))
	hours.Len = len(keys)
	hours.Row = func(i int, cells []any) []any {
		b := keys[i]
		return append(cells, b.subscription, w.clock(b.hour), b.cause, b.result, b.latency, counts[b])
	}
	_, err = w.insert(hours)
	return added, err
}

// insert adds a table's rows and answers how many it touched.
func (w *write) insert(t reduce.Table) (int64, error) {
	var n int64
	err := w.each(t, func(st *sql.Stmt, args []any) error {
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

// each runs the insert of a table over its rows, rowsAtOnce at a time.
func (w *write) each(t reduce.Table, run func(*sql.Stmt, []any) error) error {
	for i := 0; i < t.Len; {
		size := min(rowsAtOnce, t.Len-i)
		st, err := w.tx.PrepareContext(w.ctx, insertText(t, size))
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
		st.Close() //nolint:sqlclosecheck // in a loop; where this is not reached, the transaction's end closes it
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

// insertText is a statement for so many rows. It fails without undoing its rows
// before: the transaction is given up then, and SQLite need not copy each page it
// touches aside first.
func insertText(t reduce.Table, rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.Columns)), ",") + ")"
	return "insert or fail into " + t.Name + " (" + strings.Join(t.Columns, ", ") + ") values " +
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
