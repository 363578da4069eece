package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func TestPprofServesProfilesOnLoopbackUntilCancelled(t *testing.T) {
	ln, err := lifecycle.ListenPprof(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- lifecycle.ServePprof(ctx, ln) }()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "TestPprofServesProfilesOnLoopbackUntilCancelled",
		"/debug/pprof/heap?debug=1":      "heap profile",
		"/debug/pprof/cmdline":           "404",
		"/metrics":                       "404",
	} {
		res, err := client.Get("http://" + ln.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: want %q in %q (%v)", path, want, body, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestPprofIsRefusedWhereOthersCouldAsk(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "kafka.example:0"} {
		if _, err := lifecycle.ListenPprof(t.Context(), addr); !errors.Is(err, lifecycle.ErrNotLoopback) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := lifecycle.ListenPprof(t.Context(), "6060"); err == nil {
		t.Error("a port alone is no address")
	}
}
