package sqlite

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/internal/reduce"
)

// minutes counts what came from the source topics.
type minutes map[minute]*counted

type minute struct {
	topic string
	at    time.Time
}

type counted struct {
	n, repeats int64
	last       time.Time
}

func (m minutes) add(topic string, at time.Time, n, repeats int64) {
	if topic == "" {
		return
	}
	key := minute{topic, at.UTC().Truncate(time.Minute)}
	c := m[key]
	if c == nil {
		c = &counted{}
		m[key] = c
	}
	c.n += n
	c.repeats += repeats
	if at.After(c.last) {
		c.last = at
	}
}

// count adds them to the table.
func (w *write) count(m minutes) error {
	keys := slices.Collect(maps.Keys(m))
	table := reduce.Table{Name: "source_minutes", Columns: strings.Fields("minute topic n repeats last_at"), Conflict: reduce.MinutesConflict, Len: len(keys)}
	table.Row = func(i int, cells []any) []any {
		c := m[keys[i]]
		return append(cells, w.clock(keys[i].at), keys[i].topic, c.n, c.repeats, w.clock(c.last))
	}
	_, err := w.insert(table)
	return err
}

// repeats writes where further records of events stand, and counts those that
// are new into the minutes of their events.
func (w *write) repeats(r *reduce.Rows) error {
	if len(r.Repeats) == 0 {
		return nil
	}
	var last int64
	if err := w.tx.QueryRowContext(w.ctx, `select coalesce(max(rowid), 0) from event_repeats`).Scan(&last); err != nil {
		return fmt.Errorf("reading the last repeat: %w", err)
	}
	if _, err := w.insert(r.RepeatTable()); err != nil {
		return err
	}
	counts := minutes{}
	err := w.query(`select r.src_topic, e.occurred_at from event_repeats r join events e on e.event_id = r.event_id where r.rowid > $1`, []any{last}, func(rows *sql.Rows) error {
		var topic, at string
		if err := rows.Scan(&topic, &at); err != nil {
			return err
		}
		t, err := time.Parse(store.TimeLayout, at)
		counts.add(topic, t, 0, 1)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading which repeats are new: %w", err)
	}
	return w.count(counts)
}
