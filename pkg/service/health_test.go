package service

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthAsksTheRunningProcessAndItsStatusIsTheAnswer(t *testing.T) {
	answer := http.StatusOK
	ops := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(answer)
		_, _ = io.WriteString(w, "kafka: as it is\n")
	}))
	defer http.DefaultClient.CloseIdleConnections()
	defer ops.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(ops.URL, "http://"), ":")
	// As in a container: the address to listen on is none to connect to.
	environ := []string{"AFTERCALL_OPS_LISTEN=0.0.0.0:" + port}
	if status, stdout, _ := begin(t, []string{"health"}, environ, never); status != 0 || !strings.Contains(stdout, "kafka: as it is") {
		t.Errorf("%d %q of a ready one", status, stdout)
	}
	answer = http.StatusServiceUnavailable
	if status, stdout, _ := begin(t, []string{"health"}, environ, never); status != 1 || !strings.Contains(stdout, "kafka") {
		t.Errorf("%d %q of one that is not ready", status, stdout)
	}
	ops.Close()
	if status, _, stderr := begin(t, []string{"health"}, environ, never); status != 1 || stderr == "" {
		t.Errorf("%d %q of none", status, stderr)
	}
	if status, _, stderr := begin(t, []string{"helth"}, environ, never); status != 2 || !strings.Contains(stderr, "helth") {
		t.Errorf("%d %q of a misspelt command", status, stderr)
	}
}
