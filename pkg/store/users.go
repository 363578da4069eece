package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"
)

// RoleAdmin is the one role that the store knows: it keeps the last one who
// holds it. What a role may do is not its business.
const RoleAdmin = "admin"

// User is a person who signs in with a password.
type User struct {
	ID string
	// Login is the name or e-mail address they sign in with, unique.
	Login string
	Role  string
	// PasswordHash is empty until they have set a password.
	PasswordHash string
	Disabled     bool
	// Version grows with each change of role or state.
	Version int64
	// SetupExpiresAt is when their setup link ends, zero without one.
	SetupExpiresAt time.Time
	CreatedBy      string
	CreatedAt      time.Time
	LastLoginAt    time.Time
}

// UserChange is what to change of a user; nil leaves it.
type UserChange struct {
	Role     *string
	Disabled *bool
}

// usable says that this user can sign in and administer.
func (u *User) usable() bool { return u.Role == RoleAdmin && !u.Disabled && u.PasswordHash != "" }

// CreateUser adds a user, with the setup link of this hash when there is one. The
// links for the first user end. ErrExists when the id or the login is taken.
func (d *DB) CreateUser(ctx context.Context, u User, setup []byte, a Actor) error {
	return d.createUser(ctx, u, setup, a, func(context.Context, *sql.Tx) error { return nil })
}

// CreateFirstUser adds a user where there is none. link is the hash of the one it
// was made with, or nil. ErrExists when there is a user, ErrNotFound when the link
// is unknown or expired.
func (d *DB) CreateFirstUser(ctx context.Context, u User, link []byte, a Actor) error {
	return d.createUser(ctx, u, nil, a, func(ctx context.Context, tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `select count(*) from users`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return ErrExists
		}
		if link != nil {
			res, err := tx.ExecContext(ctx, `delete from login_links where hash = $1 and scopes = '' and expires_at > $2`, link, d.stamp(d.timestamp()))
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, ErrNotFound)
			}
		}
		return nil
	})
}

func (d *DB) createUser(ctx context.Context, u User, setup []byte, a Actor, before func(context.Context, *sql.Tx) error) error {
	if u.CreatedAt.IsZero() {
		u.CreatedAt = d.timestamp()
	}
	err := d.writeUsers(ctx, func(tx *sql.Tx) error {
		if err := before(ctx, tx); err != nil {
			return err
		}
		var hash any
		if setup != nil {
			hash = setup
		}
		_, err := tx.ExecContext(ctx, `insert into users (id, login, role, password_hash, disabled, version, setup_hash, setup_expires_at, created_by, created_at) values ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9)`,
			u.ID, Clean(u.Login), Clean(u.Role), u.PasswordHash, u.Disabled, hash, d.stamp(u.SetupExpiresAt), Clean(u.CreatedBy), d.stamp(u.CreatedAt))
		if err != nil {
			return err
		}
		// The links for the first user have stood in a log. Should the users be removed
		// again, they must not come to life.
		if _, err := tx.ExecContext(ctx, `delete from login_links where scopes = ''`); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "user.created", u.ID, map[string]string{"login": u.Login, "role": u.Role})
	})
	if d.engine.Conflict(err) {
		return ErrExists
	}
	return wrap("creating user", err)
}

// writeUsers runs f in a transaction beside which no other one of it runs: the
// rules about the first and the last user are about all rows.
func (d *DB) writeUsers(ctx context.Context, f func(*sql.Tx) error) error {
	return d.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into settings (name, value) values ('users lock', $1) on conflict (name) do update set value = excluded.value`, []byte{1})
		if err != nil {
			return err
		}
		return f(tx)
	})
}

func (d *DB) auditUser(ctx context.Context, tx *sql.Tx, a Actor, action, id string, detail map[string]string) error {
	return d.addAudit(ctx, tx, AuditEntry{Actor: a.Name, Kind: a.Kind, Address: a.Address, Action: action, Object: id, Detail: detail})
}

const userColumns = `id, login, role, password_hash, disabled, version, setup_expires_at, created_by, created_at, last_login_at`

func scanUser(row interface{ Scan(...any) error }) (*User, error) {
	var u User
	err := row.Scan(&u.ID, &u.Login, &u.Role, &u.PasswordHash, &u.Disabled, &u.Version, instant{&u.SetupExpiresAt}, &u.CreatedBy, instant{&u.CreatedAt}, instant{&u.LastLoginAt})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return &u, err
}

// Users are all of them, by login.
func (d *DB) Users(ctx context.Context) ([]User, error) {
	out := []User{}
	err := d.read(ctx, `select `+userColumns+` from users order by login`, nil, func(rows *sql.Rows) error {
		u, err := scanUser(rows)
		if err == nil {
			out = append(out, *u)
		}
		return err
	})
	return out, wrap("reading users", err)
}

// AnyUser says whether there is one.
func (d *DB) AnyUser(ctx context.Context) (bool, error) {
	var n int
	err := d.sql.QueryRowContext(ctx, `select count(*) from (select 1 from users limit 1) as x`).Scan(&n)
	return n > 0, wrap("looking for users", err)
}

// User is the user of an id, or ErrNotFound.
func (d *DB) User(ctx context.Context, id string) (*User, error) {
	return d.user(ctx, d.sql, `id = $1`, CleanID(id))
}

// UserByLogin is the user who signs in so, or ErrNotFound.
func (d *DB) UserByLogin(ctx context.Context, login string) (*User, error) {
	return d.user(ctx, d.sql, `login = $1`, CleanID(login))
}

func (d *DB) user(ctx context.Context, q queryer, where string, args ...any) (*User, error) {
	u, err := scanUser(q.QueryRowContext(ctx, `select `+userColumns+` from users where `+where, args...))
	if err != nil {
		return nil, wrap("reading user", err)
	}
	return u, nil
}

// ChangeUser changes a user of version ifVersion, 0 for whatever is there, and
// answers what it became. Who is disabled loses sessions and setup link.
// ErrLastAdmin when nobody would be left who can administer; ErrVersion,
// ErrNotFound.
func (d *DB) ChangeUser(ctx context.Context, id string, ifVersion int64, c UserChange, a Actor) (*User, error) {
	var u *User
	err := d.writeUsers(ctx, func(tx *sql.Tx) error {
		old, err := d.userOf(ctx, tx, id, ifVersion)
		if err != nil {
			return err
		}
		next, detail := *old, map[string]string{}
		if c.Role != nil && *c.Role != old.Role {
			next.Role = *c.Role
			detail["role"] = old.Role + " → " + next.Role
		}
		if c.Disabled != nil && *c.Disabled != old.Disabled {
			next.Disabled = *c.Disabled
			detail["disabled"] = strconv.FormatBool(next.Disabled)
		}
		if u = &next; len(detail) == 0 {
			return nil
		}
		if old.usable() && !next.usable() {
			if err := d.otherAdmin(ctx, tx, id); err != nil {
				return err
			}
		}
		next.Version++
		if _, err := tx.ExecContext(ctx, `update users set role = $1, disabled = $2, version = $3 where id = $4`, Clean(next.Role), next.Disabled, next.Version, id); err != nil {
			return err
		}
		if next.Disabled {
			next.SetupExpiresAt = time.Time{}
			if _, err := tx.ExecContext(ctx, `update users set setup_hash = null, setup_expires_at = null where id = $1`, id); err != nil {
				return err
			}
			if err := endSessions(ctx, tx, id, nil); err != nil {
				return err
			}
		}
		return d.auditUser(ctx, tx, a, "user.changed", id, detail)
	})
	if err != nil {
		return nil, wrap("changing user", err)
	}
	return u, nil
}

// DeleteUser removes a user, whose sessions end. ErrLastAdmin, ErrVersion,
// ErrNotFound as with ChangeUser.
func (d *DB) DeleteUser(ctx context.Context, id string, ifVersion int64, a Actor) error {
	return wrap("removing user", d.writeUsers(ctx, func(tx *sql.Tx) error {
		u, err := d.userOf(ctx, tx, id, ifVersion)
		if err != nil {
			return err
		}
		if u.usable() {
			if err := d.otherAdmin(ctx, tx, id); err != nil {
				return err
			}
		}
		if err := endSessions(ctx, tx, id, nil); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from users where id = $1`, id); err != nil {
			return err
		}
		return d.auditUser(ctx, tx, a, "user.removed", id, map[string]string{"login": u.Login, "role": u.Role})
	}))
}

func (d *DB) userOf(ctx context.Context, tx *sql.Tx, id string, version int64) (*User, error) {
	u, err := d.user(ctx, tx, `id = $1`, CleanID(id))
	if err == nil && version != 0 && u.Version != version {
		err = ErrVersion
	}
	return u, err
}

// otherAdmin is ErrLastAdmin unless somebody else can administer.
func (d *DB) otherAdmin(ctx context.Context, tx *sql.Tx, id string) error {
	var n int
	err := tx.QueryRowContext(ctx, `select count(*) from users where id <> $1 and role = $2 and not disabled and password_hash <> ''`, id, RoleAdmin).Scan(&n)
	if err == nil && n == 0 {
		err = ErrLastAdmin
	}
	return err
}
