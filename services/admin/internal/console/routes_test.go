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
		method, path, _ := strings.Cut(route.pattern, " ")
		if path == "" {
			method, path = http.MethodGet, method
		}
		path = strings.NewReplacer("{id}", "x", "{name}", "x", "{$}", "").Replace(path)
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
