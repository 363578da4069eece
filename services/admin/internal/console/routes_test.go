package console

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin/internal/access"
)

// Every route is asked, so that none can be forgotten: without a session, and with
// one that has every scope but the route's.
func TestEveryPageRefusesAStrangerAndTheWrongScope(t *testing.T) {
	db := storetest.SQLite(t)
	c := New(Options{Store: db, Logger: zap.NewNop()})
	if len(c.guarded) < 30 {
		t.Fatalf("only %d routes are guarded", len(c.guarded))
	}
	for _, route := range c.guarded {
		method, path := methodOf(route), pathOf(route)
		if status := ask(c, method, path, ""); status != http.StatusUnauthorized {
			t.Errorf("%s answers a stranger with %d", route.pattern, status)
		}
		if route.scope == access.Read {
			continue // every session has it
		}
		others := slices.DeleteFunc(slices.Clone(access.Scopes), func(s string) bool { return s == route.scope || s == access.Admin })
		if status := ask(c, method, path, session(t, db, others)); status != http.StatusForbidden {
			t.Errorf("%s answers a session without %s with %d", route.pattern, route.scope, status)
		}
	}
}

func ask(c *Console, method, path, cookie string) int {
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, http.NoBody)
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: "aftercall_session", Value: cookie})
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code
}

func session(t *testing.T, db *store.DB, scopes []string) (cookie string) {
	t.Helper()
	link, err := access.NewLoginLink(t.Context(), db, "somebody", scopes)
	if err != nil {
		t.Fatal(err)
	}
	if cookie, err = access.Login(t.Context(), db, link, ""); err != nil {
		t.Fatal(err)
	}
	return cookie
}

// A role reaches exactly the pages of its scopes, now, whatever it was when the
// session was opened. Those that it may not have are asked, all of them.
func TestEveryPageRefusesTheRolesThatMayNotHaveIt(t *testing.T) {
	db := storetest.SQLite(t)
	c := New(Options{Store: db, Logger: zap.NewNop()})
	link, u, err := access.AddUser(t.Context(), db, access.UserInput{Login: "ada", Role: access.Administrator}, store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := access.CompleteSetup(t.Context(), db, c.doorman, link, "", "four words are plenty", "")
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := access.AddUser(t.Context(), db, access.UserInput{Login: "grace", Role: access.Administrator}, store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.CompleteSetup(t.Context(), db, c.doorman, second, "", "four words are plenty", ""); err != nil {
		t.Fatal(err)
	}
	for role, refused := range map[string][]string{
		access.Viewer: {access.Write, access.Resend, access.Replay, access.Admin}, access.Operator: {access.Write, access.Admin}, access.Administrator: nil,
	} {
		if _, err := access.ChangeUser(t.Context(), db, u.ID, 0, store.UserChange{Role: &role}, store.Actor{}); err != nil {
			t.Fatal(err)
		}
		if status := ask(c, http.MethodGet, "/account", cookie); status != http.StatusOK {
			t.Errorf("%s is answered %d for the own account", role, status)
		}
		for _, route := range c.guarded {
			if slices.Contains(refused, route.scope) {
				if status := ask(c, methodOf(route), pathOf(route), cookie); status != http.StatusForbidden {
					t.Errorf("%s answers %s with %d", route.pattern, role, status)
				}
			}
		}
	}
}

func methodOf(route guarded) string {
	if method, _, found := strings.Cut(route.pattern, " "); found {
		return method
	}
	return http.MethodGet
}

func pathOf(route guarded) string {
	_, path, found := strings.Cut(route.pattern, " ")
	if !found {
		path = route.pattern
	}
	return strings.NewReplacer("{id}", "x", "{name}", "x", "{$}", "").Replace(path)
}
