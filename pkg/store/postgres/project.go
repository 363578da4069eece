package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/internal/reduce"
)

// Project writes a batch in one transaction.
func (e *engine) Project(ctx context.Context, b *store.Batch) (store.Projected, error) {
	for try := 1; ; try++ {
		n, err := e.project(ctx, b)
		if !rivalled(err) || try == maxTries || ctx.Err() != nil {
			return n, err
		}
	}
}

// maxTries of a batch that lost against another transaction. PostgreSQL picks one
// of those that wait for each other and rolls it back whole: nothing is written,
// and the next try finds the rows that the other one wrote.
const maxTries = 10

// rivalled says that a transaction was rolled back because of another one.
func rivalled(err error) bool {
	const deadlock, serialization = "40P01", "40001"
	c := code(err)
	return c == deadlock || c == serialization
}

func (e *engine) project(ctx context.Context, b *store.Batch) (store.Projected, error) {
	rows := reduce.Of(b)
	if err := e.days.ensure(ctx, daysOf(rows, e.days.coming(time.Now()))); err != nil {
		return store.Projected{}, err
	}
	n, err := e.write(ctx, rows, b.Eraser)
	if code(err) == noPartition {
		// Dropped since they were made.
		e.days.forget()
		if err := e.days.ensure(ctx, daysOf(rows, nil)); err != nil {
			return store.Projected{}, err
		}
		n, err = e.write(ctx, rows, b.Eraser)
	}
	switch {
	case refused(err):
		err = fmt.Errorf("%w: %w", store.ErrUnstorable, err)
	case code(err) == diskFull:
		err = fmt.Errorf("%w: %w", store.ErrNoRoom, err)
	}
	return n, err
}

const diskFull = "53100"

const noPartition = "23514"

func daysOf(r *reduce.Rows, days []time.Time) []time.Time {
	seen := map[time.Time]bool{}
	for i := range r.Attempts {
		if day := r.Attempts[i].StartedAt.Truncate(24 * time.Hour); !seen[day] {
			seen[day] = true
			days = append(days, day)
		}
	}
	return days
}

func (e *engine) write(ctx context.Context, r *reduce.Rows, eraser *store.Eraser) (n store.Projected, err error) {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return n, fmt.Errorf("connecting to project: %w", err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		pc := c.(*stdlib.Conn).Conn()
		tx, err := pc.BeginTx(ctx, options(r))
		if err != nil {
			return fmt.Errorf("beginning to project: %w", err)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = tx.Rollback(ctx)
		}()
		w := &write{ctx: ctx, tx: tx}
		if n, err = w.unerased(eraser, r, eraseTx{tx, e}); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return fmt.Errorf("committing what was projected: %w", err)
		}
		return nil
	})
	if err != nil {
		return store.Projected{}, err
	}
	return n, nil
}

// options let the commit of what came from Kafka return before it is on disk. A
// server that crashes then may lose the last batches, whole and in order, and
// with them their offsets: they are projected again. What people asked for has
// no offset, and waits.
func options(r *reduce.Rows) pgx.TxOptions {
	if len(r.Offsets) == 0 {
		return pgx.TxOptions{}
	}
	return pgx.TxOptions{BeginQuery: "begin; set local synchronous_commit to off"}
}

// write is one transaction on its way.
type write struct {
	ctx context.Context //nolint:containedctx // lives as long as the one call that makes the write
	tx  pgx.Tx
}

// unerased writes all but what was erased.
func (w *write) unerased(eraser *store.Eraser, r *reduce.Rows, tx store.Tx) (n store.Projected, err error) {
	known, err := eraser.Known(w.ctx, tx)
	if err != nil {
		return n, err
	}
	fresh := r.Erase(known)
	if n, err = w.all(r, tx.Time); err != nil || len(fresh) == 0 {
		return n, err
	}
	return n, store.EraseFresh(w.ctx, tx, known, fresh, store.CleanTime(time.Now()))
}

// eraseTx is a store.Tx of pgx.
type eraseTx struct {
	tx pgx.Tx
	e  *engine
}

func (t eraseTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, text, args...)
	return tag.RowsAffected(), err
}

func (t eraseTx) Query(ctx context.Context, text string, args []any, scan func(store.Row) error) error {
	rows, err := t.tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t eraseTx) Time(at time.Time) any { return t.e.Time(at) }
func (t eraseTx) Dialect() string       { return t.e.Name() }

func (w *write) all(r *reduce.Rows, t reduce.Clock) (n store.Projected, err error) {
	steps := []func() error{
		func() error { return w.offsets(r.Offsets, t) },
		func() (err error) { n.Events, err = w.events(r, t); return },
		func() error { return w.repeats(r.RepeatTable()) },
		func() (err error) { _, err = w.merge(r.DecisionTable(t)); return },
		func() (err error) { n.Deliveries, err = w.merge(r.DeliveryTable(t)); return },
		func() (err error) { n.Attempts, err = w.attempts(r.AttemptTable(t)); return },
		func() (err error) { n.Deferrals, err = w.merge(r.DeferralTable(t)); return },
		func() (err error) { n.Rejections, err = w.merge(r.RejectionTable(t)); return },
		func() (err error) { n.Changes, err = w.merge(r.ChangeTable(t)); return },
		func() (err error) { _, err = w.merge(r.EndpointTable(t)); return },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return store.Projected{}, err
		}
	}
	return n, nil
}

// offsets come first: of two projectors of one partition the second waits here
// and then finds the offset moved, having written nothing.
func (w *write) offsets(offsets []store.Offset, t reduce.Clock) error {
	for _, o := range offsets {
		tag, err := w.tx.Exec(w.ctx, `update projector_offsets set next_offset = $1, updated_at = now(), projected_until = greatest(projected_until, $2)
			where topic = $3 and partition = $4 and next_offset = $5`, o.To, t(o.Until), o.Topic, o.Partition, o.From)
		if err == nil && tag.RowsAffected() == 0 && o.From == 0 {
			tag, err = w.tx.Exec(w.ctx, `insert into projector_offsets (topic, partition, next_offset, projected_until, updated_at)
				values ($1, $2, $3, $4, now()) on conflict do nothing`, o.Topic, o.Partition, o.To, t(o.Until))
		}
		if err != nil {
			return fmt.Errorf("moving offsets: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("%w: %s/%d is not at %d", store.ErrOffsetMoved, o.Topic, o.Partition, o.From)
		}
	}
	return nil
}

// stage copies rows into the temporary table of a table, and answers its name.
// The temporary table stays with the connection and is emptied at the commit.
func (w *write) stage(t reduce.Table, extra string) (string, error) {
	name := "incoming_" + t.Name
	columns := strings.Join(t.Columns, ", ")
	if extra != "" {
		columns = strings.TrimSuffix(columns, ", "+extra) + ", null::bytea as " + extra
	}
	_, err := w.tx.Exec(w.ctx, `create temporary table if not exists `+name+` on commit delete rows as select `+columns+` from `+t.Name+` with no data`)
	if err != nil {
		return "", fmt.Errorf("staging %s: %w", t.Name, err)
	}
	bare := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		bare[i] = strings.Trim(c, `"`)
	}
	if _, err := w.tx.CopyFrom(w.ctx, pgx.Identifier{"pg_temp", name}, bare, &rows{table: t, at: -1}); err != nil {
		return "", fmt.Errorf("copying %s: %w", t.Name, err)
	}
	return name, nil
}

// rows feeds a table to COPY, one row at a time in the same slice.
type rows struct {
	table reduce.Table
	at    int
	cells []any
}

func (r *rows) Next() bool { r.at++; return r.at < r.table.Len }

func (r *rows) Values() ([]any, error) {
	r.cells = r.table.Row(r.at, r.cells[:0])
	return r.cells, nil
}

func (r *rows) Err() error { return nil }

func insert(t reduce.Table, from string) string {
	columns := strings.Join(t.Columns, ", ")
	return `insert into ` + t.Name + ` (` + columns + `) select ` + columns + ` from pg_temp.` + from +
		` order by ` + strings.Join(t.Key, ", ") + ` ` + t.Conflict
}

// merge adds a table's rows and answers how many it touched.
func (w *write) merge(t reduce.Table) (int64, error) {
	if t.Len == 0 {
		return 0, nil
	}
	from, err := w.stage(t, "")
	if err != nil {
		return 0, err
	}
	tag, err := w.tx.Exec(w.ctx, insert(t, from))
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", t.Name, err)
	}
	return tag.RowsAffected(), nil
}

// events writes events, their payloads, and which of their records are repeats.
func (w *write) events(r *reduce.Rows, t reduce.Clock) (added int64, err error) {
	if len(r.Events) == 0 {
		return 0, nil
	}
	events := r.EventTable(t)
	staged := events
	staged.Columns = append(append([]string(nil), events.Columns...), "payload")
	staged.Row = func(i int, cells []any) []any { return append(events.Row(i, cells), r.Events[i].Payload) }
	from, err := w.stage(staged, "payload")
	if err != nil {
		return 0, err
	}
	known, err := w.known(from)
	if err != nil {
		return 0, fmt.Errorf("reading known events: %w", err)
	}
	r.Meet(known)
	err = w.tx.QueryRow(w.ctx, `with written as (`+insert(events, from)+` returning event_id, src_topic, occurred_at, xmax = 0 as fresh),
		counted as (insert into source_minutes (minute, topic, n, repeats, last_at)
			select date_trunc('minute', occurred_at, 'UTC'), src_topic, count(*), 0, max(occurred_at) from written
			where fresh and src_topic <> '' group by 1, 2 order by 1, 2 `+reduce.MinutesConflict+`),
		kept as (insert into payloads (event_id, stored_at, payload)
			select i.event_id, i.routed_at, i.payload from pg_temp.`+from+` i join written using (event_id) where i.payload is not null order by 1
			on conflict (event_id) do update set stored_at = excluded.stored_at, payload = excluded.payload)
		select count(*) filter (where fresh) from written`).Scan(&added)
	if err != nil {
		return 0, fmt.Errorf("writing events: %w", err)
	}
	return added, nil
}

// repeats writes where further records of events stand, and counts those that
// are new into the minutes of their events.
func (w *write) repeats(t reduce.Table) error {
	if t.Len == 0 {
		return nil
	}
	from, err := w.stage(t, "")
	if err != nil {
		return err
	}
	_, err = w.tx.Exec(w.ctx, `with written as (`+insert(t, from)+` returning event_id, src_topic)
		insert into source_minutes (minute, topic, n, repeats, last_at)
			select date_trunc('minute', e.occurred_at, 'UTC'), w.src_topic, 0, count(*), max(e.occurred_at) from written w
			join events e on e.event_id = w.event_id where w.src_topic <> '' group by 1, 2 order by 1, 2 `+reduce.MinutesConflict)
	if err != nil {
		return fmt.Errorf("writing repeats: %w", err)
	}
	return nil
}

// known locks and reads the events of a batch that the store has already, by id.
func (w *write) known(from string) (map[string]reduce.Event, error) {
	rows, err := w.tx.Query(w.ctx, `select event_id, duplicate, routed_at, src_topic, src_partition, src_offset from events
		where event_id in (select event_id from pg_temp.`+from+`) order by event_id for update`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]reduce.Event{}
	for rows.Next() {
		var e reduce.Event
		if err := rows.Scan(&e.EventID, &e.Duplicate, &e.RoutedAt, &e.Position.Topic, &e.Position.Partition, &e.Position.Offset); err != nil {
			return nil, err
		}
		known[e.EventID] = e
	}
	return known, rows.Err()
}

// attempts writes attempts and counts those that are new into the hours.
func (w *write) attempts(t reduce.Table) (added int64, err error) {
	if t.Len == 0 {
		return 0, nil
	}
	from, err := w.stage(t, "")
	if err != nil {
		return 0, err
	}
	err = w.tx.QueryRow(w.ctx, `with written as (`+insert(t, from)+` returning subscription_id, started_at, cause, result, latency_bucket),
		counted as (insert into subscription_hours (subscription_id, hour, cause, result, latency_bucket, n)
			select subscription_id, date_trunc('hour', started_at, 'UTC'), cause, result, latency_bucket, count(*) from written
			group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5 `+reduce.HoursConflict+`)
		select count(*) from written`).Scan(&added)
	if err != nil {
		return 0, fmt.Errorf("writing attempts: %w", err)
	}
	return added, nil
}
