package sender_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aftercall/aftercall/pkg/safedial"
)

// wire is the way to one endpoint in memory, so that time can be a fake one. Real:
// the policy with its lookups, net/http on both sides, TLS, the connections that
// are kept. Doubled: TCP. What may go wrong on the way is in its fields.
type wire struct {
	network kfake.VirtualNetwork
	// lookup answers for every name; nil is 127.0.0.1.
	lookup func(host string) ([]netip.Addr, error)
	// forgets is after how long without traffic the way swallows what is sent over
	// a connection, as a firewall does that has forgotten it; 0 is never.
	forgets time.Duration
	dials   atomic.Int64
}

func (w *wire) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if w.lookup != nil {
		return w.lookup(host)
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// transport is the product's, but for the last step of its dialing.
func (w *wire) transport(t *testing.T, o safedial.TransportOptions) *http.Transport {
	t.Helper()
	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true, Resolver: w})
	if err != nil {
		t.Fatal(err)
	}
	transport := policy.Transport(o)
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := policy.CheckHost(ctx, "receiver.example", 443); err != nil {
			return nil, err
		}
		w.dials.Add(1)
		conn, err := w.network.DialContext(ctx, network, "localhost:443")
		if err != nil || w.forgets == 0 {
			return conn, err
		}
		return &forgetful{Conn: conn, after: w.forgets, last: time.Now()}, nil
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// serve answers at the other end, with TLS when there is a certificate.
func (w *wire) serve(t *testing.T, certificate func() *tls.Certificate, h http.HandlerFunc) {
	t.Helper()
	ln, err := w.network.Listen("tcp", "localhost:443")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	_ = server.Listener.Close()
	server.Listener = ln
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil }}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
}

// forgetful is a connection that a firewall has dropped from its table: what is
// written goes nowhere, and nobody says so.
type forgetful struct {
	net.Conn
	after time.Duration

	mu   sync.Mutex
	last time.Time
	gone bool
}

func (f *forgetful) Write(b []byte) (int, error) {
	f.mu.Lock()
	f.gone = f.gone || time.Since(f.last) > f.after
	f.last = time.Now()
	gone := f.gone
	f.mu.Unlock()
	if gone {
		return len(b), nil
	}
	return f.Conn.Write(b)
}
