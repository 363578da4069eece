package lifecycle_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func TestOpsServesHealthAndMetricsUntilCancelled(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "aftercall_test_total", Help: "x"}))
	h := lifecycle.NewHealth()
	h.Register("kafka")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- lifecycle.ServeOpsOn(ctx, ln, h, reg) }()

	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{
		"/livez":   "alive",
		"/readyz":  "kafka: starting",
		"/metrics": "aftercall_test_total 0",
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

func TestOpsNamesTheVariableOfABusyPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	err = lifecycle.ServeOps(t.Context(), ln.Addr().String(), lifecycle.NewHealth(), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "AFTERCALL_OPS_LISTEN") {
		t.Fatalf("want an error naming the variable, got %v", err)
	}
}

func TestOpsWithoutAnAddressOnlyWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := lifecycle.ServeOps(ctx, "", nil, nil); err != nil {
		t.Fatal(err)
	}
}
