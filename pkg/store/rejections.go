package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Rejections is a page of rejected records, newest first, and the cursor of the
// next one.
func (d *DB) Rejections(ctx context.Context, q RejectionQuery) ([]Rejection, string, error) {
	f := &filter{d: d}
	f.equal("topic", q.Topic)
	f.equal("code", q.Code)
	f.between("rejected_at", q.From, q.To)
	limit, tail, err := f.page("rejections", "rejected_at", "id", q.Page)
	if err != nil {
		return nil, "", err
	}
	var out []Rejection
	err = d.read(ctx, `select id, topic, partition, "offset", last_offset, code, field, reason, event_type, tenant, payload, payload_truncated,
		payload_bytes, produced_at, rejected_at from rejections`+f.text()+tail, f.args, func(rows *sql.Rows) error {
		var j Rejection
		err := rows.Scan(&j.ID, &j.Position.Topic, &j.Position.Partition, &j.Position.Offset, &j.LastOffset, &j.Code, &j.Field, &j.Reason,
			&j.EventType, &j.Tenant, &j.Payload, &j.PayloadTruncated, &j.PayloadBytes, instant{&j.ProducedAt}, instant{&j.RejectedAt})
		out = append(out, j)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading rejections: %w", err)
	}
	return pageOf(d, "rejections", out, limit, func(j *Rejection) (time.Time, string) { return j.RejectedAt, j.ID })
}
