package store

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// CreateToken adds an API token. ErrExists when its id, its hash, or the name
// of a token that is not revoked is taken.
func (d *DB) CreateToken(ctx context.Context, t Token) error {
	if t.CreatedAt.IsZero() {
		t.CreatedAt = d.timestamp()
	}
	_, err := d.writer.ExecContext(ctx, `insert into tokens (id, name, hash, scopes, created_by, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.ID, Clean(t.Name), t.Hash, strings.Join(t.Scopes, " "), Clean(t.CreatedBy), d.stamp(t.CreatedAt), d.stamp(t.ExpiresAt))
	if d.engine.Conflict(err) {
		return ErrExists
	}
	return wrap("creating token", err)
}

const tokenColumns = `id, name, hash, scopes, created_by, created_at, expires_at, revoked_at, last_used_at`

// TokenByHash is the token of SHA-256 of its text, and notes its use, to the
// minute. ErrNotFound for unknown, revoked and expired ones.
func (d *DB) TokenByHash(ctx context.Context, hash []byte) (*Token, error) {
	ts, err := d.tokens(ctx, ` where hash = $1`, hash)
	if err != nil {
		return nil, err
	}
	now := d.timestamp()
	if len(ts) == 0 || !ts[0].RevokedAt.IsZero() || !ts[0].ExpiresAt.IsZero() && !ts[0].ExpiresAt.After(now) {
		return nil, ErrNotFound
	}
	if now.Sub(ts[0].LastUsedAt) > time.Minute {
		// Not worth failing a request for.
		_, _ = d.writer.ExecContext(ctx, `update tokens set last_used_at = $1 where id = $2`, d.stamp(now), ts[0].ID)
	}
	return &ts[0], nil
}

// Tokens are all tokens, revoked ones too, newest first.
func (d *DB) Tokens(ctx context.Context) ([]Token, error) { return d.tokens(ctx, ``) }

func (d *DB) tokens(ctx context.Context, where string, args ...any) ([]Token, error) {
	out := []Token{}
	err := d.read(ctx, `select `+tokenColumns+` from tokens`+where+` order by created_at desc, id desc`, args, func(rows *sql.Rows) error {
		var t Token
		var scopes string
		err := rows.Scan(&t.ID, &t.Name, &t.Hash, &scopes, &t.CreatedBy, instant{&t.CreatedAt}, instant{&t.ExpiresAt}, instant{&t.RevokedAt}, instant{&t.LastUsedAt})
		t.Scopes = strings.Fields(scopes)
		out = append(out, t)
		return err
	})
	return out, wrap("reading tokens", err)
}

// RevokeToken ends a token. ErrNotFound when there is none, or it is revoked
// already.
func (d *DB) RevokeToken(ctx context.Context, id string) error {
	return d.mustTouch(ctx, "revoking token", `update tokens set revoked_at = $1 where id = $2 and revoked_at is null`, d.stamp(d.timestamp()), CleanID(id))
}

func (d *DB) mustTouch(ctx context.Context, doing, text string, args ...any) error {
	res, err := d.writer.ExecContext(ctx, text, args...)
	if err != nil {
		return wrap(doing, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return ErrNotFound
	}
	return nil
}

// stamp is a time as an argument, made storable.
func (d *DB) stamp(t time.Time) any { return d.engine.Time(CleanTime(t)) }
