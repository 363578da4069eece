package lifecycle_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadyzNamesEachCheck(t *testing.T) {
	h := lifecycle.NewHealth()
	h.Register("subscriptions")
	h.Set("kafka", nil)
	h.Set("store", errors.New("connection refused"))

	status, body := get(h, "/readyz")
	want := "not ready\nkafka: ok\nstore: connection refused\nsubscriptions: starting\n"
	if status != http.StatusServiceUnavailable || body != want {
		t.Fatalf("got %d %q, want 503 %q", status, body, want)
	}
	if h.Err() == nil {
		t.Fatal("Err must name the failing checks")
	}

	h.Set("store", nil)
	h.Set("subscriptions", nil)
	status, body = get(h, "/readyz")
	if status != http.StatusOK || body != "ready\nkafka: ok\nstore: ok\nsubscriptions: ok\n" {
		t.Fatalf("got %d %q", status, body)
	}
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRegisteringAgainKeepsTheState(t *testing.T) {
	h := lifecycle.NewHealth()
	h.Set("kafka", nil)
	h.Register("kafka")
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
}

func TestLivezIsUpWhileReadyzIsNot(t *testing.T) {
	h := lifecycle.NewHealth()
	h.Register("kafka")
	if status, _ := get(h, "/livez"); status != http.StatusOK {
		t.Fatalf("livez: %d", status)
	}
	if status, _ := get(h, "/nothing"); status != http.StatusNotFound {
		t.Fatalf("unknown path: %d", status)
	}
}
