package safedial

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// onOnePort listens on one port of two addresses.
func onOnePort(t *testing.T, first, second string) (a, b net.Listener, port int) {
	t.Helper()
	for range 100 {
		a, err := net.Listen("tcp", first+":0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.Addr().(*net.TCPAddr).Port
		if b, err := net.Listen("tcp", fmt.Sprintf("%s:%d", second, port)); err == nil {
			return a, b, port
		}
		_ = a.Close() // somebody else has it there
	}
	t.Fatal("no port is free on both")
	return nil, nil, 0
}

// A name that has moved into the private network while a connection to its public
// address is kept: what is kept goes on to where it was allowed to, and nothing new
// is connected.
func TestANameThatMovesUnderAKeptConnectionIsDeniedWithTheNextOne(t *testing.T) {
	// 127.0.0.2 stands for a public address, 127.0.0.3 for a private one.
	ln, other, port := onOnePort(t, "127.0.0.2", "127.0.0.3")
	t.Cleanup(func() { _ = other.Close() })
	private := &canary{other, port}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "public") }))
	_ = server.Listener.Close()
	server.Listener = ln
	server.Start()
	defer server.Close()

	var moved atomic.Bool
	p := policy(t, Options{Allow: []string{"127.0.0.2/32:*"}, Resolver: dnsServer(t, func(_ string, v6 bool) []string {
		switch {
		case v6:
			return nil
		case moved.Load():
			return []string{"127.0.0.3"}
		}
		return []string{"127.0.0.2"}
	})})
	transport := p.Transport(TransportOptions{})
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	get := func() (string, error) {
		resp, err := c.Get(fmt.Sprintf("http://receiver.example:%d/", port))
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	for range 2 {
		if body, err := get(); err != nil || body != "public" {
			t.Fatalf("%q, %v", body, err)
		}
		moved.Store(true)
	}
	transport.CloseIdleConnections() // as the server's end or IdleConnTimeout would
	if body, err := get(); reasonOf(err) != ReasonLoopback {
		t.Errorf("after the move: %q, %v", body, err)
	}
	private.untouched(t)
	moved.Store(false)
	if body, err := get(); err != nil || body != "public" {
		t.Errorf("moved back: %q, %v", body, err)
	}
}
