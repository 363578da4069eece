package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// AddAudit adds an entry to the audit log; ID and At are set when they are
// empty. Changes of subscriptions enter theirs by themselves.
func (d *DB) AddAudit(ctx context.Context, e AuditEntry) error {
	return wrap("adding to the audit log", d.addAudit(ctx, d.writer, e))
}

func (d *DB) addAudit(ctx context.Context, q queryer, e AuditEntry) error {
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		e.ID = id.String()
	}
	if e.At.IsZero() {
		e.At = d.timestamp()
	}
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `insert into audit (id, at, actor, kind, address, action, object, detail) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		e.ID, d.stamp(e.At), Clean(e.Actor), Clean(e.Kind), Clean(e.Address), Clean(e.Action), CleanID(e.Object), string(detail))
	return err
}

// Audit is a page of the audit log, newest first, and the cursor of the next
// one.
func (d *DB) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, string, error) {
	f := &filter{d: d}
	f.equal("actor", q.Actor)
	f.equal("action", q.Action)
	f.equal("object", q.Object)
	f.between("at", q.From, q.To)
	limit, tail, err := f.page("audit", "at", "id", q.Page)
	if err != nil {
		return nil, "", err
	}
	var out []AuditEntry
	err = d.read(ctx, `select id, at, actor, kind, address, action, object, detail from audit`+f.text()+tail, f.args, func(rows *sql.Rows) error {
		var e AuditEntry
		var detail string
		if err := rows.Scan(&e.ID, instant{&e.At}, &e.Actor, &e.Kind, &e.Address, &e.Action, &e.Object, &detail); err != nil {
			return err
		}
		out = append(out, e)
		return json.Unmarshal([]byte(detail), &out[len(out)-1].Detail)
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading the audit log: %w", err)
	}
	return pageOf(d, "audit", out, limit, func(e *AuditEntry) (time.Time, string) { return e.At, e.ID })
}
