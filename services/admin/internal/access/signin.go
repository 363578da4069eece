package access

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// SignIn opens a session for a name and its password. ErrWrong, ErrBusy and
// *SlowDownError are its refusals; which of name and password was wrong, or that
// the user is disabled, it does not tell.
func SignIn(ctx context.Context, db *store.DB, d *Doorman, login, password, address string) (cookie string, err error) {
	if login = loginOf(login); !loginForm.MatchString(login) {
		login = "" // nobody's, and all such are one name
	}
	u, err := db.UserByLogin(ctx, login)
	if errors.Is(err, store.ErrNotFound) {
		u, err = &store.User{Disabled: true}, nil
	}
	if err != nil {
		return "", err
	}
	hash := u.PasswordHash
	if u.Disabled {
		hash = ""
	}
	before := d.before(login)
	again, err := d.check(ctx, login, hash, password)
	if err != nil {
		return "", err
	}
	if again {
		if next, err := d.hash(ctx, password); err == nil {
			if err := db.Rehash(ctx, u.ID, hash, next); err != nil {
				return "", err
			}
			hash = next
		}
	}
	detail := map[string]string{"by": "password"}
	if before > 0 {
		detail["wrong_before"] = strconv.Itoa(before)
	}
	return open(ctx, db, u, hash, address, detail)
}

// open opens the session of a user whose password hash is still this one.
func open(ctx context.Context, db *store.DB, u *store.User, hash, address string, detail map[string]string) (cookie string, err error) {
	cookie = NewText()
	now := time.Now().UTC()
	err = db.OpenSession(ctx, store.Session{Hash: Hash(cookie), UserID: u.ID, User: u.Login, CreatedAt: now, ExpiresAt: now.Add(SessionLifetime)}, hash,
		store.Actor{Name: u.Login, Kind: "session", Address: address}, detail)
	if errors.Is(err, store.ErrNotFound) {
		// Changed or disabled while it was being checked.
		return "", ErrWrong
	}
	return cookie, err
}

// Setup is what a setup link is for.
type Setup struct {
	// First is the first user's, who chooses a name; Login is anybody else's.
	First bool
	Login string
}

// OpenSetup says what a setup link is for, and does not use it up: programs look
// at links before people do. store.ErrNotFound for one that is unknown, used or
// expired.
func OpenSetup(ctx context.Context, db *store.DB, link string) (*Setup, error) {
	u, err := db.UserBySetup(ctx, Hash(link))
	if err == nil {
		return &Setup{Login: u.Login}, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if there, err := db.AnyUser(ctx); err != nil || there {
		return nil, errors.Join(err, store.ErrNotFound)
	}
	if err := db.FirstLink(ctx, Hash(link)); err != nil {
		return nil, err
	}
	return &Setup{First: true}, nil
}

// CompleteSetup uses a setup link up: it sets the password that the person chose
// and opens a session. login is the first user's; all others have theirs.
func CompleteSetup(ctx context.Context, db *store.DB, d *Doorman, link, login, password, address string) (cookie string, err error) {
	s, err := OpenSetup(ctx, db, link)
	if err != nil {
		return "", err
	}
	login = loginOf(login)
	if !s.First {
		login = s.Login
	}
	if fields := slices.Concat(loginField(login), passwordField(login, password)); len(fields) > 0 {
		return "", problem.Invalid(fields...)
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return "", err
	}
	detail := map[string]string{"by": "setup link"}
	if !s.First {
		u, err := db.UseSetupLink(ctx, Hash(link), hash, address)
		if err != nil {
			return "", err
		}
		return open(ctx, db, u, hash, address, detail)
	}
	u := newUser(login, Administrator, system.Name)
	u.PasswordHash = hash
	err = db.CreateFirstUser(ctx, u, Hash(link), store.Actor{Name: login, Kind: system.Kind, Address: address})
	if errors.Is(err, store.ErrExists) {
		err = store.ErrNotFound // somebody was first
	}
	if err != nil {
		return "", err
	}
	return open(ctx, db, &u, hash, address, detail)
}

// ChangePassword sets somebody's own password, and ends their sessions but the
// one with this cookie. ErrWrong when old is not the present one.
func ChangePassword(ctx context.Context, db *store.DB, d *Doorman, p *Principal, cookie, old, password string) error {
	if p == nil || p.UserID == "" {
		return problem.New(http.StatusConflict, problem.CodeConflict, "You came by a one-time link, and have no password here.")
	}
	u, err := db.User(ctx, p.UserID)
	if err != nil {
		return err
	}
	if fields := passwordField(u.Login, password); len(fields) > 0 {
		return problem.Invalid(fields...)
	}
	if _, err := d.check(ctx, u.Login, u.PasswordHash, old); err != nil {
		return err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	err = db.SetPassword(ctx, u.ID, u.PasswordHash, hash, Hash(cookie), p.Actor())
	if errors.Is(err, store.ErrNotFound) {
		return ErrWrong // changed meanwhile
	}
	return err
}
