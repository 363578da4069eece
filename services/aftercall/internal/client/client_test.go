package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARefusalSaysWhatAndWhatToDo(t *testing.T) {
	for body, want := range map[string]string{
		`401 {"code":"unauthorized","detail":"No such token."}`:                                   "--token-file",
		`403 {"code":"forbidden","detail":"Not allowed."}`:                                        "scope",
		`422 {"code":"invalid","errors":[{"pointer":"/name","message":"The name is too long."}]}`: "name: The name is too long.",
		`502 <html>`: "is --api right?",
		`200 <html>`: "is --api right?",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var status int
			_, _ = fmt.Sscan(body, &status)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body[4:]))
		}))
		c, err := New(srv.URL, "aft_canary")
		if err != nil {
			t.Fatal(err)
		}
		err = c.Do(t.Context(), "GET", "/stats", nil, &struct{}{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s becomes %v", body, err)
		}
		srv.Close()
	}
}

func TestTheTokenDoesNotFollowARedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	c, err := New(srv.URL, "aft_x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "GET", "/stats", nil, nil); err == nil {
		t.Error("a redirect is taken for an answer")
	}
}

func TestFlagsComeBeforeTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AFTERCALL_API", "http://env:1/api/v1/")
	t.Setenv("AFTERCALL_TOKEN", "from-env")
	for _, tc := range []struct {
		flags       Flags
		base, token string
	}{
		{Flags{}, "http://env:1", "from-env"},
		{Flags{API: "http://flag:2", TokenFile: file}, "http://flag:2", "from-file"},
	} {
		c, err := tc.flags.Client()
		if err != nil || c.Base() != tc.base || c.token != tc.token {
			t.Errorf("%+v: %+v %v", tc.flags, c, err)
		}
	}
}

func TestPagesAreReadUpToTheLimit(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "b", "b": "c", "c": ""}[r.URL.Query().Get("cursor")]
		_, _ = fmt.Fprintf(w, `{"items":[1,2],"next_cursor":%q}`, next)
	}))
	defer srv.Close()
	c, err := New(srv.URL, "aft_x")
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int]int{0: 6, 3: 3, 100: 6} {
		n := 0
		if err := Each(t.Context(), c, "/x", nil, limit, func(int) error { n++; return nil }); err != nil || n != want {
			t.Errorf("limit %d: %d items, %v", limit, n, err)
		}
	}
}
