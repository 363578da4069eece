package store

import (
	"context"
	"database/sql"
	"time"
)

// CreateFirstLink adds a link with which the first user is made: a login link
// that opens no session.
func (d *DB) CreateFirstLink(ctx context.Context, hash []byte, expires time.Time) error {
	return d.CreateLoginLink(ctx, LoginLink{Hash: hash, ExpiresAt: expires})
}

// FirstLink says whether CreateFirstUser would take a link: ErrNotFound for
// unknown and expired ones.
func (d *DB) FirstLink(ctx context.Context, hash []byte) error {
	var n int
	err := d.sql.QueryRowContext(ctx, `select count(*) from login_links where hash = $1 and scopes = '' and expires_at > $2`, hash, d.stamp(d.timestamp())).Scan(&n)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return wrap("reading the first user's link", err)
}

// SetSetupLink gives a user a link with which to set a password, in the place
// of the one before. ErrNotFound when there is no such user, or they are
// disabled.
func (d *DB) SetSetupLink(ctx context.Context, id string, hash []byte, expires time.Time, a Actor) error {
	return wrap("keeping the setup link", d.write(ctx, func(tx *sql.Tx) error {
		if err := touch(tx.ExecContext(ctx, `update users set setup_hash = $1, setup_expires_at = $2 where id = $3 and not disabled`, hash, d.stamp(expires), CleanID(id))); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "user.link_created", id, nil)
	}))
}

// UserBySetup is the user of a setup link that has not ended, or ErrNotFound.
func (d *DB) UserBySetup(ctx context.Context, hash []byte) (*User, error) {
	return d.user(ctx, d.sql, `setup_hash = $1 and setup_expires_at > $2 and not disabled`, hash, d.stamp(d.timestamp()))
}

// UseSetupLink takes a setup link, sets the password, and ends the sessions
// that the user had. Of two who use it at once one gets it; ErrNotFound for
// unknown, used and expired ones.
func (d *DB) UseSetupLink(ctx context.Context, hash []byte, password, address string) (*User, error) {
	var u *User
	err := d.write(ctx, func(tx *sql.Tx) (err error) {
		// The row that is updated is locked until the end: nobody else finds it by
		// this hash any more.
		u, err = scanUser(tx.QueryRowContext(ctx, `update users set password_hash = $1, setup_hash = null, setup_expires_at = null
			where setup_hash = $2 and setup_expires_at > $3 and not disabled returning `+userColumns, password, hash, d.stamp(d.timestamp())))
		if err != nil {
			return err
		}
		if err := endSessions(ctx, tx, u.ID, nil); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, Actor{Name: u.Login, Kind: "session", Address: address}, "user.password_set", u.ID, nil)
	})
	if err != nil {
		return nil, wrap("using setup link", err)
	}
	return u, nil
}

// SetPassword puts a user's password hash in the place of old, and ends their
// sessions but the one of the hash keep. ErrNotFound when old is not the
// present one, or the user is disabled.
func (d *DB) SetPassword(ctx context.Context, id, old, password string, keep []byte, a Actor) error {
	return wrap("setting password", d.write(ctx, func(tx *sql.Tx) error {
		if err := touch(tx.ExecContext(ctx, `update users set password_hash = $1, setup_hash = null, setup_expires_at = null where id = $2 and password_hash = $3 and not disabled`,
			password, id, old)); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, id, keep); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "user.password_changed", id, nil)
	}))
}

// Rehash puts another hash of the same password in the place of old. Nothing
// happens when old is not the present one.
func (d *DB) Rehash(ctx context.Context, id, old, password string) error {
	_, err := d.writer.ExecContext(ctx, `update users set password_hash = $1 where id = $2 and password_hash = $3`, password, id, old)
	return wrap("hashing the password again", err)
}

// OpenSession opens a session of a user who still has this password hash, and
// notes that they signed in. ErrNotFound when the password was changed or the
// user disabled meanwhile.
func (d *DB) OpenSession(ctx context.Context, s Session, password string, a Actor, detail map[string]string) error {
	if s.CreatedAt.IsZero() {
		s.CreatedAt = d.timestamp()
	}
	return wrap("opening a session", d.write(ctx, func(tx *sql.Tx) error {
		if err := touch(tx.ExecContext(ctx, `update users set last_login_at = $1 where id = $2 and password_hash = $3 and not disabled`, d.stamp(s.CreatedAt), s.UserID, password)); err != nil {
			return err
		}
		if err := d.addSession(ctx, tx, s); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "session.opened", s.UserID, detail)
	}))
}

// EndSessions ends a user's sessions but the one of the hash keep, which may be
// nil. ErrNotFound when there is no such user.
func (d *DB) EndSessions(ctx context.Context, id string, keep []byte, a Actor) error {
	return wrap("ending sessions", d.write(ctx, func(tx *sql.Tx) error {
		if _, err := d.user(ctx, tx, `id = $1`, CleanID(id)); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, CleanID(id), keep); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "user.signed_out", id, nil)
	}))
}

// endSessions ends a user's sessions but the one of the hash keep.
func endSessions(ctx context.Context, tx *sql.Tx, id string, keep []byte) error {
	if keep == nil {
		keep = []byte{} // not NULL, which nothing is unlike
	}
	_, err := tx.ExecContext(ctx, `delete from sessions where user_id = $1 and hash <> $2`, id, keep)
	return err
}

// touch is ErrNotFound when a statement found no row.
func touch(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return ErrNotFound
	}
	return nil
}
