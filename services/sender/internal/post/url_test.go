package post

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/safedial"
)

func TestLettersBeyondASCIIGoOutPercentEncoded(t *testing.T) {
	lines := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { lines <- r.RequestURI }))
	defer server.Close()
	p := poster(t, safedial.TransportOptions{})
	r := send(t, p, server.URL+"/é%2Fa?q=ü&r=%c3%bc")
	if r.Status != http.StatusOK {
		t.Fatalf("%d %s", r.Status, r.Error)
	}
	const want = "/%C3%A9%2Fa?q=%C3%BC&r=%c3%bc"
	if line := <-lines; line != want {
		t.Errorf("the request is for %q, want %q", line, want)
	}
	if !strings.HasSuffix(r.URL, want) {
		t.Errorf("the history has %q", r.URL)
	}
}
