package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// days makes the day partitions of attempts.
type days struct {
	pool  *sql.DB
	ahead int

	mu   sync.Mutex
	made map[string]bool
}

const dayName = "20060102"

// partitionLock is held by whoever makes or drops a partition.
const partitionLock = `hashtext('aftercall partitions'), hashtext(current_schema())`

// coming are yesterday, today and the days ahead.
func (d *days) coming(now time.Time) []time.Time {
	today := now.UTC().Truncate(24 * time.Hour)
	var out []time.Time
	for i := -1; i <= d.ahead; i++ {
		out = append(out, today.AddDate(0, 0, i))
	}
	return out
}

// forget makes ensure look again: somebody has dropped partitions.
func (d *days) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.made)
}

// ensure makes the partitions of these days where they are missing. A
// partition is made aside and attached, which waits for no reader.
func (d *days) ensure(ctx context.Context, want []time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, day := range want {
		day = day.UTC().Truncate(24 * time.Hour)
		name := "attempts_" + day.Format(dayName)
		if d.made[name] {
			continue
		}
		if err := d.make(ctx, name, day); err != nil {
			return fmt.Errorf("making partition %s: %w", name, err)
		}
		d.made[name] = true
	}
	return nil
}

func (d *days) make(ctx context.Context, name string, day time.Time) error {
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var there bool
	if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock(`+partitionLock+`)`); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `select exists (select 1 from pg_inherits where inhrelid = to_regclass($1) and not inhdetachpending)`, name).Scan(&there); err != nil || there {
		return err
	}
	// One that was taken off and not dropped yet was on its way out.
	if _, err := tx.ExecContext(ctx, `drop table if exists `+name); err != nil {
		return err
	}
	const bound = "2006-01-02 15:04:05+00"
	for _, text := range []string{
		`create table ` + name + ` (like attempts including defaults including constraints)`,
		`alter table attempts attach partition ` + name + ` for values from ('` + day.Format(bound) + `') to ('` + day.AddDate(0, 0, 1).Format(bound) + `')`,
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return tx.Commit()
}
