package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// SourceVolume is how many events came from each source topic from since on, by the
// counters of minutes.
func (d *DB) SourceVolume(ctx context.Context, since time.Time) (map[string]int64, error) {
	out := map[string]int64{}
	err := d.read(ctx, `select topic, cast(sum(n) as bigint) from source_minutes where minute >= $1 group by topic`,
		[]any{d.engine.Time(since.UTC().Truncate(time.Minute))}, func(rows *sql.Rows) error {
			var topic string
			var n int64
			err := rows.Scan(&topic, &n)
			out[topic] = n
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading what came in: %w", err)
	}
	return out, nil
}

// recentUnitEvents is how many events, the newest, RecentUnits looks at.
const recentUnitEvents = 2000

// RecentUnits are the organization units of the newest events, the most frequent
// first, at most limit of them.
func (d *DB) RecentUnits(ctx context.Context, limit int) ([]string, error) {
	var out []string
	err := d.read(ctx, `select ou_path from (select ou_path from events order by occurred_at desc limit `+strconv.Itoa(recentUnitEvents)+`) newest
		where ou_path <> '' group by ou_path order by count(*) desc, ou_path limit `+strconv.Itoa(limit), nil, func(rows *sql.Rows) error {
		var unit string
		err := rows.Scan(&unit)
		out = append(out, unit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the units seen lately: %w", err)
	}
	return out, nil
}
