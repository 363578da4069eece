package stream

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyWhatMayHaveChangedSomethingMakesStreamsAsk(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		asks   bool
	}{
		{http.MethodPost, http.StatusOK, true}, {http.MethodDelete, http.StatusNoContent, true}, {http.MethodPost, http.StatusSeeOther, true},
		// It may have failed after the change.
		{http.MethodPost, http.StatusInternalServerError, true},
		{http.MethodPost, http.StatusUnauthorized, false}, {http.MethodDelete, http.StatusNotFound, false}, {http.MethodGet, http.StatusOK, false},
	} {
		h := New(Options{})
		h.Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, "/", nil))
		h.mu.Lock()
		if asked := h.checks > 0; asked != c.asks {
			t.Errorf("%s answered with %d: streams ask: %v", c.method, c.status, asked)
		}
		h.mu.Unlock()
	}
}
