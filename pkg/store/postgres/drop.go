package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// dropWait bounds the wait for readers of a partition that goes; the next run
// goes on where this one stopped.
const dropWait = time.Minute

// DropDays drops the day partitions of attempts that end before a time. A
// partition is taken off concurrently first: neither readers nor projectors wait
// for it.
func (e *engine) DropDays(ctx context.Context, before time.Time) (dropped int64, err error) {
	days, err := e.days.old(ctx, before)
	if err != nil {
		return 0, fmt.Errorf("listing partitions: %w", err)
	}
	for _, day := range days {
		if err := e.days.drop(ctx, day); err != nil {
			return dropped, fmt.Errorf("dropping partition %s: %w", day.name, err)
		}
		dropped++
	}
	return dropped, nil
}

// oldDay is a partition that goes. It may have been taken off already, in part or
// altogether, by a run that was interrupted.
type oldDay struct {
	name              string
	attached, pending bool
}

func (d *days) old(ctx context.Context, before time.Time) (out []oldDay, err error) {
	rows, err := d.pool.QueryContext(ctx, `select c.relname, i.inhrelid is not null, coalesce(i.inhdetachpending, false)
		from pg_class c left join pg_inherits i on i.inhrelid = c.oid
		where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relname ~ '^attempts_[0-9]{8}$' order by 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var day oldDay
		if err := rows.Scan(&day.name, &day.attached, &day.pending); err != nil {
			return nil, err
		}
		begin, err := time.Parse("attempts_"+dayName, day.name)
		if err == nil && !begin.AddDate(0, 0, 1).After(before) {
			out = append(out, day)
		}
	}
	return out, rows.Err()
}

// drop holds the lock of those who make partitions, so that nobody finds the table
// between its coming off and its end.
func (d *days) drop(ctx context.Context, day oldDay) error {
	ctx, cancel := context.WithTimeout(ctx, dropWait)
	defer cancel()
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `select pg_advisory_lock(`+partitionLock+`)`); err != nil {
		return err
	}
	defer unlock(ctx, conn)
	for _, text := range day.statements() {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	d.forget()
	return nil
}

func (day oldDay) statements() []string {
	drop := `drop table if exists ` + day.name
	switch {
	case day.pending:
		return []string{`alter table attempts detach partition ` + day.name + ` finalize`, drop}
	case day.attached:
		return []string{`alter table attempts detach partition ` + day.name + ` concurrently`, drop}
	}
	return []string{drop}
}

// unlock needs no answer: a connection that was lost has let go.
func unlock(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = conn.ExecContext(ctx, `select pg_advisory_unlock(`+partitionLock+`)`)
}
