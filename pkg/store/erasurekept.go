package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// KeptErasure is what must outlast the store of an erasure: with it a store that was
// restored or built again learns what it must not bring back.
type KeptErasure struct {
	ID, Kind, RequestedBy string
	CreatedAt             time.Time
	// Until is until when what happened is concerned.
	Until, KeptUntil time.Time
	KeyID            uint32
	Digest           []byte
	// Copies are not kept: they are what Kafka says when it is restored.
	Copies []ErasureCopy
}

// KeptErasures are those that were started.
func (d *DB) KeptErasures(ctx context.Context) ([]KeptErasure, error) {
	var out []KeptErasure
	err := d.read(ctx, `select e.id, e.kind, e.requested_by, e.created_at, k.to_at, e.kept_until, k.key_id, k.digest from erasures e
		join erasure_keys k on k.erasure_id = e.id and k.from_at is null where e.state in ('running', 'done') order by e.created_at, e.id`, nil, func(rows *sql.Rows) error {
		var k KeptErasure
		err := rows.Scan(&k.ID, &k.Kind, &k.RequestedBy, instant{&k.CreatedAt}, instant{&k.Until}, instant{&k.KeptUntil}, &k.KeyID, &k.Digest)
		out = append(out, k)
		return err
	})
	return out, wrap("reading kept erasures", err)
}

// RestoreErasure makes an erasure run that this store does not know, or forgot: from
// then on nothing that is projected holds what it concerns. It answers whether there
// was anything to do.
func (d *DB) RestoreErasure(ctx context.Context, k KeptErasure) (bool, error) {
	kind := keyNumber
	if k.Kind == ErasureCall {
		kind = keyCall
	}
	copies, err := json.Marshal(append([]ErasureCopy{}, k.Copies...))
	if err != nil {
		return false, fmt.Errorf("restoring an erasure: %w", err)
	}
	var added int64
	err = d.write(ctx, func(raw *sql.Tx) error {
		tx := sqlTx{raw, d.engine}
		if err := d.waitForProjectors(ctx, tx); err != nil {
			return err
		}
		var err error
		// One that was planned when the store was saved, and started afterwards, runs too.
		added, err = tx.Exec(ctx, `insert into erasures (id, kind, state, counts, copies, cursor, fault, requested_by, created_at, started_by, started_at, kept_until, revision)
			values ($1, $2, 'running', '{}', $7, '', '', $3, $4, 'aftercall', $5, $6, (select coalesce(max(revision), 0) + 1 from erasures))
			on conflict (id) do update set state = 'running', counts = '{}', cursor = '', started_by = excluded.started_by, started_at = excluded.started_at, revision = excluded.revision
			where erasures.state in ('counting', 'planned', 'cancelled')`,
			CleanID(k.ID), Clean(k.Kind), Clean(k.RequestedBy), d.stamp(k.CreatedAt), d.stamp(d.timestamp()), d.stamp(k.KeptUntil), string(copies))
		if err != nil || added == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `insert into erasure_keys (erasure_id, kind, key_id, digest, from_at, to_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
			CleanID(k.ID), kind, int64(k.KeyID), k.Digest, d.stamp(time.Time{}), d.stamp(k.Until))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("restoring an erasure: %w", err)
	}
	return added > 0, nil
}
