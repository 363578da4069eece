package storetest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

func hashOf(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

// userOf adds a user who has set a password.
func userOf(t *testing.T, db *store.DB, login, role string) string {
	t.Helper()
	id := "usr_" + login
	must(t, db.CreateUser(ctx, store.User{ID: id, Login: login, Role: role, PasswordHash: "hash of " + login}, nil, ada))
	return id
}

func signedIn(t *testing.T, db *store.DB, id, login, cookie string) {
	t.Helper()
	must(t, db.OpenSession(ctx, store.Session{Hash: hashOf(cookie), UserID: id, User: login, ExpiresAt: time.Now().Add(time.Hour)}, "hash of "+login, ada, nil))
}

func gone(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s answered %v", what, err)
	}
}

func users(t *testing.T, db *store.DB) {
	if there, err := db.AnyUser(ctx); err != nil || there {
		t.Fatalf("a new store has users: %v, %v", there, err)
	}
	id := userOf(t, db, "grace", "viewer")
	if err := db.CreateUser(ctx, store.User{ID: "usr_other", Login: "grace", Role: "viewer"}, nil, ada); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second grace answered %v", err)
	}
	userOf(t, db, "boss", store.RoleAdmin)
	u, err := db.UserByLogin(ctx, "grace")
	must(t, err)
	if u.ID != id || u.Role != "viewer" || u.PasswordHash != "hash of grace" || u.Version != 1 || u.CreatedAt.IsZero() || !u.LastLoginAt.IsZero() {
		t.Errorf("read back %+v", u)
	}
	all, err := db.Users(ctx)
	must(t, err)
	if len(all) != 2 || all[0].Login != "boss" {
		t.Errorf("the list is %+v", all)
	}

	// What a session may is what the role says now.
	signedIn(t, db, id, "grace", "c1")
	signedIn(t, db, id, "grace", "c2")
	role, off, on := "operator", true, false
	changed, err := db.ChangeUser(ctx, id, 1, store.UserChange{Role: &role}, ada)
	must(t, err)
	if changed.Version != 2 || changed.Role != "operator" || changed.LastLoginAt.IsZero() {
		t.Errorf("changed to %+v", changed)
	}
	if s, err := db.SessionByHash(ctx, hashOf("c1")); err != nil || s.Role != "operator" || s.UserID != id || s.User != "grace" || len(s.Scopes) != 0 {
		t.Errorf("the session is %+v, %v", s, err)
	}
	if _, err := db.ChangeUser(ctx, id, 1, store.UserChange{Role: &role}, ada); !errors.Is(err, store.ErrVersion) {
		t.Errorf("a stale change answered %v", err)
	}
	must(t, db.EndSessions(ctx, id, hashOf("c2"), ada))
	_, err = db.SessionByHash(ctx, hashOf("c1"))
	gone(t, "an ended session", err)
	if _, err := db.SessionByHash(ctx, hashOf("c2")); err != nil {
		t.Errorf("the session that was to stay answered %v", err)
	}

	// Disabled: out, and not in again until enabled.
	must(t, db.SetSetupLink(ctx, id, hashOf("link"), time.Now().Add(time.Hour), ada))
	if _, err := db.ChangeUser(ctx, id, 0, store.UserChange{Disabled: &off}, ada); err != nil {
		t.Fatal(err)
	}
	_, err = db.SessionByHash(ctx, hashOf("c2"))
	gone(t, "a disabled user's session", err)
	gone(t, "opening a session of a disabled user", db.OpenSession(ctx, store.Session{Hash: hashOf("c3"), UserID: id, ExpiresAt: time.Now().Add(time.Hour)}, "hash of grace", ada, nil))
	_, err = db.UserBySetup(ctx, hashOf("link"))
	gone(t, "a disabled user's link", err)
	gone(t, "a link for a disabled user", db.SetSetupLink(ctx, id, hashOf("link"), time.Now().Add(time.Hour), ada))
	gone(t, "a disabled user's new password", db.SetPassword(ctx, id, "hash of grace", "new", nil, ada))
	if _, err := db.ChangeUser(ctx, id, 0, store.UserChange{Disabled: &on}, ada); err != nil {
		t.Fatal(err)
	}
	_, err = db.SessionByHash(ctx, hashOf("c2"))
	gone(t, "the session from before", err)
	signedIn(t, db, id, "grace", "c4")
	must(t, db.DeleteUser(ctx, id, 0, ada))
	_, err = db.SessionByHash(ctx, hashOf("c4"))
	gone(t, "a removed user's session", err)
	gone(t, "removing again", db.DeleteUser(ctx, id, 0, ada))
	_, err = db.ChangeUser(ctx, id, 0, store.UserChange{Role: &role}, ada)
	gone(t, "changing a removed user", err)

	log, _, err := db.Audit(ctx, store.AuditQuery{Object: id})
	must(t, err)
	var actions []string
	for _, e := range log {
		actions = append(actions, e.Action)
		if e.Actor != "ada" || e.Address != ada.Address {
			t.Errorf("%s was done by %+v", e.Action, e)
		}
	}
	want := []string{"user.removed", "session.opened", "user.changed", "user.changed", "user.link_created", "user.signed_out", "user.changed", "session.opened", "session.opened", "user.created"}
	if len(actions) != len(want) || actions[0] != want[0] || log[6].Detail["role"] != "viewer → operator" {
		t.Errorf("the audit log has %v, want %v", actions, want)
	}
}

func passwords(t *testing.T, db *store.DB) {
	id := userOf(t, db, "grace", "viewer")
	signedIn(t, db, id, "grace", "c1")
	signedIn(t, db, id, "grace", "c2")
	gone(t, "a change from a password that is not the present one", db.SetPassword(ctx, id, "other", "new", hashOf("c1"), ada))
	must(t, db.SetPassword(ctx, id, "hash of grace", "new", hashOf("c1"), ada))
	if _, err := db.SessionByHash(ctx, hashOf("c1")); err != nil {
		t.Errorf("the session that changed it answered %v", err)
	}
	_, err := db.SessionByHash(ctx, hashOf("c2"))
	gone(t, "another session", err)
	gone(t, "opening a session with the old hash", db.OpenSession(ctx, store.Session{Hash: hashOf("c3"), UserID: id, ExpiresAt: time.Now().Add(time.Hour)}, "hash of grace", ada, nil))
	must(t, db.Rehash(ctx, id, "hash of grace", "stolen"))
	must(t, db.Rehash(ctx, id, "new", "newer"))
	if u, err := db.User(ctx, id); err != nil || u.PasswordHash != "newer" {
		t.Errorf("hashed again it is %+v, %v", u, err)
	}

	// A link is there once, and the next takes its place.
	until := time.Now().Add(time.Hour)
	must(t, db.SetSetupLink(ctx, id, hashOf("first"), until, ada))
	must(t, db.SetSetupLink(ctx, id, hashOf("second"), until, ada))
	_, err = db.UserBySetup(ctx, hashOf("first"))
	gone(t, "the link before", err)
	if u, err := db.UserBySetup(ctx, hashOf("second")); err != nil || u.ID != id || u.SetupExpiresAt.IsZero() {
		t.Errorf("the link is of %+v, %v", u, err)
	}
	var taken atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if u, err := db.UseSetupLink(ctx, hashOf("second"), "set", "192.0.2.7"); err == nil && u.PasswordHash == "set" {
				taken.Add(1)
			} else if !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 {
		t.Errorf("a setup link was used %d times", taken.Load())
	}
	_, err = db.SessionByHash(ctx, hashOf("c1"))
	gone(t, "a session from before the link", err)
	must(t, db.SetSetupLink(ctx, id, hashOf("old"), time.Now().Add(-time.Second), ada))
	_, err = db.UseSetupLink(ctx, hashOf("old"), "late", "")
	gone(t, "an expired link", err)
	must(t, db.SetSetupLink(ctx, id, hashOf("voided"), until, ada))
	must(t, db.SetPassword(ctx, id, "set", "own", nil, ada))
	_, err = db.UserBySetup(ctx, hashOf("voided"))
	gone(t, "a link from before the password was changed", err)
}

func firstUser(t *testing.T, db *store.DB) {
	until := time.Now().Add(time.Hour)
	for _, link := range []string{"one", "two"} {
		must(t, db.CreateFirstLink(ctx, hashOf(link), until))
	}
	if _, err := db.UseLoginLink(ctx, hashOf("one")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the first user's link opens a session: %v", err)
	}
	must(t, db.FirstLink(ctx, hashOf("one")))
	first := func(id string, link []byte) error {
		return db.CreateFirstUser(ctx, store.User{ID: id, Login: id, Role: store.RoleAdmin, PasswordHash: "x"}, link, ada)
	}
	gone(t, "an unknown link", first("usr_0", hashOf("made up")))
	// Once there was a user, a link that stood in a log opens nothing, though they
	// were removed again.
	must(t, db.CreateUser(ctx, store.User{ID: "usr_short", Login: "short", Role: "viewer"}, nil, ada))
	must(t, db.DeleteUser(ctx, "usr_short", 0, ada))
	gone(t, "a link from before there was a user", db.FirstLink(ctx, hashOf("one")))
	for _, link := range []string{"one", "two"} {
		must(t, db.CreateFirstLink(ctx, hashOf(link), until))
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	for i, link := range []string{"one", "two", "one", "two"} {
		wg.Go(func() {
			switch err := first("usr_"+string(rune('a'+i)), hashOf(link)); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d first users were made", made.Load())
	}
	gone(t, "the other link, then", db.FirstLink(ctx, hashOf("two")))
	if err := first("usr_z", nil); !errors.Is(err, store.ErrExists) {
		t.Errorf("another first user answered %v", err)
	}
}

func lastAdmin(t *testing.T, db *store.DB) {
	viewer, off := "viewer", true
	a, b := userOf(t, db, "a", store.RoleAdmin), userOf(t, db, "b", store.RoleAdmin)
	// Neither of these two can administer: one has no password, one is disabled.
	must(t, db.CreateUser(ctx, store.User{ID: "usr_c", Login: "c", Role: store.RoleAdmin}, nil, ada))
	must(t, db.CreateUser(ctx, store.User{ID: "usr_d", Login: "d", Role: store.RoleAdmin, PasswordHash: "x", Disabled: true}, nil, ada))

	// Two who demote each other at once: one of them stays.
	var wg sync.WaitGroup
	var refused atomic.Int32
	for _, id := range []string{a, b} {
		wg.Go(func() {
			switch _, err := db.ChangeUser(ctx, id, 0, store.UserChange{Role: &viewer}, ada); {
			case errors.Is(err, store.ErrLastAdmin):
				refused.Add(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if refused.Load() != 1 {
		t.Fatalf("%d of two demotions were refused", refused.Load())
	}
	left := a
	if u, err := db.User(ctx, a); err != nil || u.Role == viewer {
		left = b
	}
	if _, err := db.ChangeUser(ctx, left, 0, store.UserChange{Disabled: &off}, ada); !errors.Is(err, store.ErrLastAdmin) {
		t.Errorf("disabling the last one answered %v", err)
	}
	if err := db.DeleteUser(ctx, left, 0, ada); !errors.Is(err, store.ErrLastAdmin) {
		t.Errorf("removing the last one answered %v", err)
	}
	must(t, db.DeleteUser(ctx, "usr_c", 0, ada))
	must(t, db.DeleteUser(ctx, "usr_d", 0, ada))
}
