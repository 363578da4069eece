package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An erasure goes through the store twice by events, so that what a rule found late
// concerns what was passed early, then through rejections and attempts. Each step
// is a transaction of its own and says where the next one begins.
const (
	stepEvents     = "events"
	stepAgain      = "events again"
	stepRejections = "rejections"
	stepAttempts   = "attempts"
	stepOverwrite  = "overwrite"
)

const eraseStep = 500

// Erasing is an erasure on its way, or one that is counted.
type Erasing struct {
	*Erasure
	dry  bool
	seen map[string]bool
}

// Erasing goes on with one where it stands. A count begins anew.
func (d *DB) Erasing(e *Erasure) *Erasing {
	x := &Erasing{Erasure: e, dry: e.State == ErasureCounting, seen: map[string]bool{}}
	if x.dry {
		e.Counts, e.cursor = ErasureCounts{}, ""
	}
	return x
}

// EraseStep takes one step. done is true after the last; ErrVersion says that
// somebody else has changed the erasure.
func (d *DB) EraseStep(ctx context.Context, x *Erasing) (done bool, err error) {
	step, after, _ := strings.Cut(x.cursor, ":")
	switch step {
	case "", stepEvents:
		err = d.eraseEventsStep(ctx, x, stepEvents, after, stepAgain)
	case stepAgain:
		if x.dry {
			x.cursor = stepRejections
			return false, nil
		}
		err = d.eraseEventsStep(ctx, x, stepAgain, after, stepRejections)
	case stepRejections:
		err = d.eraseRejectionsStep(ctx, x, after)
	case stepAttempts:
		err = d.eraseAttemptsStep(ctx, x, after)
	case stepOverwrite:
		return true, wrap("erasing", d.endErasure(ctx, x))
	default:
		err = fmt.Errorf("unknown step %q", step)
	}
	return false, wrap("erasing "+step, err)
}

// eraseWithin runs one step in a transaction with what the erasure concerns.
func (d *DB) eraseWithin(ctx context.Context, x *Erasing, f func(tx Tx, known *Erased) (n ErasureCounts, cursor string, err error)) error {
	var counts ErasureCounts
	var next string
	err := d.write(ctx, func(raw *sql.Tx) error {
		tx := sqlTx{raw, d.engine}
		if !x.dry {
			if err := d.waitForProjectors(ctx, tx); err != nil {
				return err
			}
		}
		known, err := loadErased(ctx, tx, d.eraser.keys(), `select id from erasures where id = $1`, x.ID)
		if err != nil {
			return err
		}
		n, cursor, err := f(tx, known)
		if err != nil {
			return err
		}
		counts, next = x.Counts, cursor
		counts.add(n)
		if x.dry {
			return nil
		}
		text, err := json.Marshal(counts)
		if err != nil {
			return err
		}
		moved, err := tx.Exec(ctx, `update erasures set counts = $1, cursor = $2, fault = '' where id = $3 and state = 'running' and cursor = $4`, string(text), next, x.ID, x.cursor)
		if err == nil && moved == 0 {
			err = ErrVersion
		}
		return err
	})
	if err == nil {
		x.Counts, x.cursor = counts, next
	}
	return err
}

func (d *DB) eraseEventsStep(ctx context.Context, x *Erasing, step, after, then string) error {
	known, err := d.known(ctx, x.ID)
	if err != nil {
		return err
	}
	var concerned []leg
	last, rows := "", 0
	err = d.read(ctx, `select e.event_id, e.call_id, e.scenario_id, e.parent_id, e.ce_id, e.source, e.occurred_at, p.payload from events e
		left join payloads p on p.event_id = e.event_id left join erased_events x on x.event_id = e.event_id
		where e.event_id > $1 and x.event_id is null order by e.event_id limit $2`, []any{after, eraseStep}, func(r *sql.Rows) error {
		var l leg
		var ce, source string
		var payload []byte
		if err := r.Scan(&l.eventID, &l.ids[0], &l.ids[1], &l.ids[2], &ce, &source, &instant{&l.at}, &payload); err != nil {
			return err
		}
		last, rows = l.eventID, rows+1
		if !x.seen[l.eventID] && known.Record(payload, l.at, l.ids[0], l.ids[1], l.ids[2], ce, source) != "" {
			concerned = append(concerned, l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	legs := map[string]leg{}
	for _, l := range concerned {
		if _, there := legs[l.eventID]; there {
			continue
		}
		call, err := grow(ctx, d.legs, []leg{l}, &Call{})
		if err != nil {
			return err
		}
		for _, other := range call {
			legs[other.eventID] = other
		}
	}
	var events []ErasedEvent
	for _, l := range legs {
		if !x.seen[l.eventID] {
			events = append(events, ErasedEvent{EventID: l.eventID, Erasure: x.ID, At: l.at, CallID: l.ids[0], ScenarioID: l.ids[1], ParentID: l.ids[2]})
		}
	}
	cursor := then
	if rows == eraseStep {
		cursor = step + ":" + last
	}
	err = d.eraseWithin(ctx, x, func(tx Tx, known *Erased) (ErasureCounts, string, error) {
		n, err := EraseEvents(ctx, tx, known, events, d.timestamp(), x.dry)
		return n, cursor, err
	})
	if err == nil {
		for _, e := range events {
			x.seen[e.EventID] = true
		}
	}
	return err
}

func (d *DB) eraseRejectionsStep(ctx context.Context, x *Erasing, after string) error {
	return d.eraseWithin(ctx, x, func(tx Tx, known *Erased) (n ErasureCounts, cursor string, err error) {
		var ids []string
		rows := 0
		err = tx.Query(ctx, `select id, payload, produced_at, rejected_at from rejections where id > $1 order by id limit $2`, []any{after, eraseStep}, func(r Row) error {
			var payload []byte
			var produced, rejected time.Time
			if err := r.Scan(&after, &payload, &instant{&produced}, &instant{&rejected}); err != nil {
				return err
			}
			if produced.IsZero() {
				produced = rejected
			}
			rows++
			if len(payload) > 0 && known.Record(payload, produced, CallIDs(payload)...) != "" {
				ids = append(ids, after)
			}
			return nil
		})
		for i := 0; err == nil && i < len(ids) && !x.dry; i++ {
			_, err = tx.Exec(ctx, `update rejections set payload = $1 where id = $2`, []byte{}, ids[i])
		}
		n.Rejections = int64(len(ids))
		if rows < eraseStep {
			return n, stepAttempts, err
		}
		return n, stepRejections + ":" + after, err
	})
}

// eraseAttemptsStep finds answers that repeat the number though their call's payload
// has expired, and could not tell.
func (d *DB) eraseAttemptsStep(ctx context.Context, x *Erasing, after string) error {
	from, id, _ := strings.Cut(after, "/")
	var at time.Time
	if from != "" {
		var err error
		if at, err = time.Parse(TimeLayout, from); err != nil {
			return err
		}
	}
	if at.IsZero() {
		at = minTime
	}
	return d.eraseWithin(ctx, x, func(tx Tx, known *Erased) (n ErasureCounts, cursor string, err error) {
		found, err := attemptsOf(ctx, tx, ` where (started_at, attempt_id) > ($1, $2) order by started_at, attempt_id limit $3`, tx.Time(at), id, eraseStep)
		if err != nil {
			return n, "", err
		}
		var concerned []erasable
		for _, a := range found {
			if by, _ := known.Attempt(a.event, a.call, a.detail, a.started); by != "" && !x.seen[a.event] {
				concerned = append(concerned, a)
			}
		}
		n.Attempts, err = eraseAttempts(ctx, tx, known, concerned, x.dry)
		if len(found) < eraseStep {
			return n, stepOverwrite, err
		}
		last := found[len(found)-1]
		return n, stepAttempts + ":" + last.started.Format(TimeLayout) + "/" + last.id, err
	})
}

// overwriter is an engine that can overwrite the room of what was deleted.
type overwriter interface {
	Overwrite(ctx context.Context) error
}

// endErasure overwrites what is deleted and notes the end.
func (d *DB) endErasure(ctx context.Context, x *Erasing) error {
	now := d.timestamp()
	if x.dry {
		text, err := json.Marshal(x.Counts)
		if err != nil {
			return err
		}
		_, err = d.writer.ExecContext(ctx, `update erasures set state = 'planned', counts = $1 where id = $2 and state = 'counting'`, string(text), x.ID)
		return err
	}
	fault := ""
	if o, ok := d.engine.(overwriter); ok {
		if err := o.Overwrite(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			fault = "The room of what was deleted could not be overwritten: " + err.Error()
		}
	}
	return d.changeErasure(ctx, "ending an erasure", func(tx Tx) (int64, error) {
		return tx.Exec(ctx, `update erasures set state = 'done', ended_at = $1, fault = $2 where id = $3 and state = 'running'`, d.stamp(now), Clean(fault), x.ID)
	})
}

// NoteErasureFault says what went wrong last.
func (d *DB) NoteErasureFault(ctx context.Context, id, fault string) error {
	_, err := d.writer.ExecContext(ctx, `update erasures set fault = $1 where id = $2 and state in ('counting', 'running')`, Clean(fault), CleanID(id))
	return wrap("noting a fault", err)
}

// known is what one erasure concerns.
func (d *DB) known(ctx context.Context, id string) (*Erased, error) {
	var out *Erased
	err := d.write(ctx, func(raw *sql.Tx) (err error) {
		out, err = loadErased(ctx, sqlTx{raw, d.engine}, d.eraser.keys(), `select id from erasures where id = $1`, id)
		return err
	})
	return out, err
}
