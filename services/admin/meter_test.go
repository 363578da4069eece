package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/api"
	"github.com/aftercall/aftercall/services/admin/internal/console"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

func TestAPanicIsAnsweredInTheSurfacesOwnWayWithTheIDThatTheLogHas(t *testing.T) {
	core, logged := observer.New(zapcore.ErrorLevel)
	logger, db, m := zap.New(core), storetest.SQLite(t), newMeter(nil)
	// Without its shared layer the console panics as soon as it needs it.
	pages := console.New(console.Options{Store: db, Logger: logger})
	surfaces := http.NewServeMux()
	surfaces.Handle("/", m.wrap("console", logger, pages, pages.Panicked))
	surfaces.Handle("/api/", m.wrap("api", logger, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("canary") }),
		func(w http.ResponseWriter, _ *http.Request, request string) {
			api.WriteProblem(w, problem.Fault(request))
		}))
	link, err := access.NewLoginLink(t.Context(), db, "ada", access.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := access.Login(t.Context(), db, link, "")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) (answer *httptest.ResponseRecorder, request string) {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, http.NoBody)
		r.AddCookie(&http.Cookie{Name: "aftercall_session", Value: cookie})
		w := httptest.NewRecorder()
		surfaces.ServeHTTP(w, r)
		entries := logged.TakeAll()
		if w.Code != http.StatusInternalServerError || len(entries) != 1 || entries[0].Message != "request.panicked" {
			t.Fatalf("%s %s is answered %d, the log has %v", method, path, w.Code, entries)
		}
		fields := entries[0].ContextMap()
		if stack, _ := fields["stack"].(string); !strings.Contains(stack, "ServeHTTP") {
			t.Errorf("the log has no stack: %v", fields)
		}
		request, _ = fields["request"].(string)
		if !regexp.MustCompile(`^[a-z0-9]{12}$`).MatchString(request) {
			t.Errorf("the log has the request %q", request)
		}
		return w, request
	}

	page, request := ask(http.MethodPost, "/webhooks/test")
	for _, text := range []string{"<!DOCTYPE html>", "Internal Server Error", "under request " + request, `href="/webhooks"`, "ada"} {
		if !strings.Contains(page.Body.String(), text) {
			t.Errorf("the page does not show %q: %s", text, page.Body)
		}
	}
	if page.Header().Get("Content-Security-Policy") != console.Policy || strings.Contains(page.Body.String(), "goroutine") {
		t.Errorf("the page is answered with %v: %s", page.Header(), page.Body)
	}

	answer, request := ask(http.MethodGet, "/api/v1/anything")
	var p problem.Problem
	if err := json.Unmarshal(answer.Body.Bytes(), &p); err != nil || p.Code != problem.CodeInternal || !strings.Contains(p.Detail, request) || strings.Contains(p.Detail, "canary") {
		t.Errorf("the API answers %s, %v", answer.Body, err)
	}
}
