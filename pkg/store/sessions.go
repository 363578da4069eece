package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// CreateSession adds a signed-in browser, and forgets expired ones.
func (d *DB) CreateSession(ctx context.Context, s Session) error {
	if s.CreatedAt.IsZero() {
		s.CreatedAt = d.timestamp()
	}
	return wrap("creating session", d.write(ctx, func(tx *sql.Tx) error {
		return d.addSession(ctx, tx, s)
	}))
}

func (d *DB) addSession(ctx context.Context, tx *sql.Tx, s Session) error {
	if _, err := tx.ExecContext(ctx, `delete from sessions where expires_at <= $1`, d.stamp(d.timestamp())); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `insert into sessions (hash, user_name, scopes, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		s.Hash, Clean(s.User), strings.Join(s.Scopes, " "), s.UserID, d.stamp(s.CreatedAt), d.stamp(s.ExpiresAt))
	return err
}

// SessionByHash is the session of SHA-256 of its cookie. Login and role of a
// user's are those of now. ErrNotFound for unknown and expired ones, and for
// those of users who are disabled or gone.
func (d *DB) SessionByHash(ctx context.Context, hash []byte) (*Session, error) {
	s := Session{Hash: hash}
	var scopes string
	err := d.sql.QueryRowContext(ctx, `select coalesce(u.login, s.user_name), s.scopes, s.user_id, coalesce(u.role, ''), s.created_at, s.expires_at
		from sessions s left join users u on u.id = s.user_id and not u.disabled
		where s.hash = $1 and s.expires_at > $2 and (s.user_id = '' or u.id is not null)`, hash, d.stamp(d.timestamp())).
		Scan(&s.User, &scopes, &s.UserID, &s.Role, instant{&s.CreatedAt}, instant{&s.ExpiresAt})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, wrap("reading session", err)
	}
	s.Scopes = strings.Fields(scopes)
	return &s, nil
}

// DeleteSession signs a browser out. An unknown one is signed out already.
func (d *DB) DeleteSession(ctx context.Context, hash []byte) error {
	_, err := d.writer.ExecContext(ctx, `delete from sessions where hash = $1`, hash)
	return wrap("deleting session", err)
}

// CreateLoginLink adds a one-time link, and forgets expired ones.
func (d *DB) CreateLoginLink(ctx context.Context, l LoginLink) error {
	if l.CreatedAt.IsZero() {
		l.CreatedAt = d.timestamp()
	}
	return wrap("creating login link", d.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from login_links where expires_at <= $1`, d.stamp(d.timestamp())); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `insert into login_links (hash, user_name, scopes, created_at, expires_at) values ($1, $2, $3, $4, $5)`,
			l.Hash, Clean(l.User), strings.Join(l.Scopes, " "), d.stamp(l.CreatedAt), d.stamp(l.ExpiresAt))
		return err
	}))
}

// UseLoginLink takes the link of SHA-256 of its token: of two who use it at
// once, one gets it. ErrNotFound for unknown, used and expired ones, and for
// those of CreateFirstLink.
func (d *DB) UseLoginLink(ctx context.Context, hash []byte) (*LoginLink, error) {
	l := LoginLink{Hash: hash}
	var scopes string
	err := d.writer.QueryRowContext(ctx, `delete from login_links where hash = $1 and expires_at > $2 and scopes <> '' returning user_name, scopes, created_at, expires_at`, hash, d.stamp(d.timestamp())).
		Scan(&l.User, &scopes, instant{&l.CreatedAt}, instant{&l.ExpiresAt})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, wrap("using login link", err)
	}
	l.Scopes = strings.Fields(scopes)
	return &l, nil
}
