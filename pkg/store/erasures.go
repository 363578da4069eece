package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kinds of erasures: what they go by.
const (
	ErasureNumber = "caller_number"
	ErasureCall   = "call"
)

// States of an erasure.
const (
	ErasureCounting  = "counting"
	ErasurePlanned   = "planned"
	ErasureRunning   = "running"
	ErasureDone      = "done"
	ErasureCancelled = "cancelled"
)

// Erasure is one removal of personal data. It does not hold what it went by.
type Erasure struct {
	ID, Kind, State        string
	Counts                 ErasureCounts
	Copies                 []ErasureCopy
	Fault                  string
	RequestedBy, StartedBy string
	CreatedAt              time.Time
	StartedAt, EndedAt     time.Time
	// KeptUntil is until when the digests of what was erased are kept: nothing in
	// Kafka is older than the request then. Zero is for ever.
	KeptUntil time.Time

	cursor string
}

// ErasureCounts say what an erasure found, or erased.
type ErasureCounts struct {
	// Events concerned, and Payloads that were still there of them.
	Events   int64 `json:"events"`
	Payloads int64 `json:"payloads"`
	// Attempts whose answers were taken out.
	Attempts   int64 `json:"attempts"`
	Rejections int64 `json:"rejections"`
	// IDs are ids that held the number, and are replaced.
	IDs int64 `json:"ids"`
	// Waiting are deliveries that were still to be sent.
	Waiting int64 `json:"waiting"`
}

func (c *ErasureCounts) add(o ErasureCounts) {
	c.Events += o.Events
	c.Payloads += o.Payloads
	c.Attempts += o.Attempts
	c.Rejections += o.Rejections
	c.IDs += o.IDs
	c.Waiting += o.Waiting
}

// ErasureCopy is a topic that holds copies, and when the last of them is gone.
type ErasureCopy struct {
	Topic string `json:"topic"`
	// Upstream topics belong to whoever produces CDRs.
	Upstream bool `json:"upstream"`
	// Retention is the topic's, as Kafka says; negative for ever.
	Retention time.Duration `json:"retention_ns"`
	// Unknown says that Kafka does not let us see its retention.
	Unknown bool `json:"unknown,omitempty"`
	// GoneBy is zero where the topic keeps for ever, or nobody knows.
	GoneBy time.Time `json:"gone_by,omitzero"`
}

// ErasureQuery selects erasures.
type ErasureQuery struct {
	Page
}

const erasureColumns = `id, kind, state, counts, copies, cursor, fault, requested_by, created_at, started_by, started_at, ended_at, kept_until`

func (e *Erasure) scan(rows Row) error {
	var counts, copies string
	err := rows.Scan(&e.ID, &e.Kind, &e.State, &counts, &copies, &e.cursor, &e.Fault, &e.RequestedBy, &instant{&e.CreatedAt}, &e.StartedBy,
		&instant{&e.StartedAt}, &instant{&e.EndedAt}, &instant{&e.KeptUntil})
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal([]byte(counts), &e.Counts), json.Unmarshal([]byte(copies), &e.Copies))
}

// CreateErasure keeps what is to be erased (a number in its normal form, or a call's
// id, by kind) as a digest, to be counted first. e.ID and e.CreatedAt are set.
func (d *DB) CreateErasure(ctx context.Context, e *Erasure, subject string) error {
	digester := d.eraser.keys()
	if digester == nil {
		return ErrErasureKey
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("creating an erasure: %w", err)
	}
	e.ID, e.CreatedAt, e.State = "era_"+id.String(), d.timestamp(), ErasureCounting
	kind, until := keyNumber, e.CreatedAt
	if e.Kind == ErasureCall {
		// A later record of the call is one of it too.
		kind, until = keyCall, e.CreatedAt.Add(CallWindow)
		subject = CleanID(subject)
	}
	keyID, sum := digester.Digest(kind, []byte(subject))
	copies, err := json.Marshal(e.Copies)
	if err != nil {
		return fmt.Errorf("creating an erasure: %w", err)
	}
	err = d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into erasures (id, kind, state, counts, copies, cursor, fault, requested_by, created_at, started_by, kept_until, revision)
			values ($1, $2, $3, '{}', $4, '', '', $5, $6, '', $7, 0)`, e.ID, e.Kind, e.State, string(copies), Clean(e.RequestedBy), d.stamp(e.CreatedAt), d.stamp(e.KeptUntil))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into erasure_keys (erasure_id, kind, key_id, digest, from_at, to_at) values ($1, $2, $3, $4, $5, $6)`,
			e.ID, kind, int64(keyID), sum, d.stamp(time.Time{}), d.stamp(until))
		return err
	})
	return wrap("creating an erasure", err)
}

// Erasure is one erasure. ErrNotFound when there is none.
func (d *DB) Erasure(ctx context.Context, id string) (*Erasure, error) {
	all, err := d.erasures(ctx, ` where id = $1`, CleanID(id))
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Erasures is a page of erasures, newest first, and the cursor of the next one.
func (d *DB) Erasures(ctx context.Context, q ErasureQuery) ([]*Erasure, string, error) {
	f := &filter{d: d}
	limit, tail, err := f.page("erasures", "created_at", "id", q.Page)
	if err != nil {
		return nil, "", err
	}
	all, err := d.erasures(ctx, f.text()+tail, f.args...)
	if err != nil {
		return nil, "", err
	}
	return pageOf(d, "erasures", all, limit, func(e **Erasure) (time.Time, string) { return (*e).CreatedAt, (*e).ID })
}

// OpenErasures are those that are to be counted or to be run, oldest first.
func (d *DB) OpenErasures(ctx context.Context) ([]*Erasure, error) {
	return d.erasures(ctx, ` where state in ('counting', 'running') order by created_at, id`)
}

func (d *DB) erasures(ctx context.Context, tail string, args ...any) ([]*Erasure, error) {
	var out []*Erasure
	err := d.read(ctx, `select `+erasureColumns+` from erasures`+tail, args, func(rows *sql.Rows) error {
		var e Erasure
		err := e.scan(rows)
		out = append(out, &e)
		return err
	})
	return out, wrap("reading erasures", err)
}

// StartErasure makes a counted one run, from the beginning. Whatever is projected
// from then on lacks what it erases. ErrVersion when it is not one to be started.
func (d *DB) StartErasure(ctx context.Context, id, by string) error {
	return d.changeErasure(ctx, "starting an erasure", func(tx Tx) (int64, error) {
		if err := d.waitForProjectors(ctx, tx); err != nil {
			return 0, err
		}
		return tx.Exec(ctx, `update erasures set state = 'running', counts = '{}', cursor = '', fault = '', started_by = $1, started_at = $2,
			revision = (select coalesce(max(revision), 0) + 1 from erasures) where id = $3 and state in ('counting', 'planned')`, Clean(by), d.stamp(d.timestamp()), CleanID(id))
	})
}

// CancelErasure ends one that has not been started, and forgets its key.
func (d *DB) CancelErasure(ctx context.Context, id string) error {
	return d.changeErasure(ctx, "cancelling an erasure", func(tx Tx) (int64, error) {
		n, err := tx.Exec(ctx, `update erasures set state = 'cancelled', ended_at = $1 where id = $2 and state in ('counting', 'planned')`, d.stamp(d.timestamp()), CleanID(id))
		if err == nil && n > 0 {
			_, err = tx.Exec(ctx, `delete from erasure_keys where erasure_id = $1`, CleanID(id))
		}
		return n, err
	})
}

func (d *DB) changeErasure(ctx context.Context, what string, change func(Tx) (int64, error)) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		n, err := change(sqlTx{tx, d.engine})
		if err == nil && n == 0 {
			err = ErrVersion
		}
		return err
	})
	return wrap(what, err)
}

// waitForProjectors returns when no transaction is on its way that has not seen
// what this one changes: see Eraser.Known. SQLite has one writer.
func (d *DB) waitForProjectors(ctx context.Context, tx Tx) error {
	if d.Dialect() != "postgres" {
		return nil
	}
	_, err := tx.Exec(ctx, `lock table erasures in access exclusive mode`)
	return err
}

// sqlTx is a Tx of database/sql.
type sqlTx struct {
	tx *sql.Tx
	e  Engine
}

// SQLTx makes a Tx of one of database/sql.
func SQLTx(tx *sql.Tx, e Engine) Tx { return sqlTx{tx, e} }

func (t sqlTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	res, err := t.tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t sqlTx) Query(ctx context.Context, text string, args []any, scan func(Row) error) error {
	rows, err := t.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return drain(rows, func(r *sql.Rows) error { return scan(r) })
}

func (t sqlTx) Time(at time.Time) any { return t.e.Time(at) }
func (t sqlTx) Dialect() string       { return t.e.Name() }

// pruneErasures forgets the digests of what is gone from Kafka too, and of what
// nobody has confirmed for a day.
func (d *DB) pruneErasures(ctx context.Context, now time.Time) error {
	err := d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update erasures set state = 'cancelled', ended_at = $1 where state in ('counting', 'planned') and created_at < $2`, d.stamp(now), d.stamp(now.Add(-24*time.Hour)))
		if err == nil {
			_, err = tx.ExecContext(ctx, `delete from erasure_keys where erasure_id in (select id from erasures where state = 'cancelled' or state = 'done' and kept_until < $1)`, d.stamp(now))
		}
		return err
	})
	return wrap("forgetting the digests of erasures", err)
}
