package safedial

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// canary is a listener that must not be connected to.
type canary struct {
	net.Listener
	port int
}

func listenOn(t *testing.T, host string) *canary {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		if strings.Contains(host, ":") {
			t.Skipf("no IPv6 on this machine: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &canary{ln, ln.Addr().(*net.TCPAddr).Port}
}

// untouched fails when anyone but the test itself has connected: the first
// connection in the queue is the test's own.
func (c *canary) untouched(t *testing.T) {
	t.Helper()
	own, err := net.Dial("tcp", c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	got, err := c.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Close() }()
	if got.RemoteAddr().String() != own.LocalAddr().String() {
		t.Errorf("somebody connected to %s", c.Addr())
	}
}

func TestNoWayOfWritingItConnectsToThisMachine(t *testing.T) {
	v4 := listenOn(t, "127.0.0.1")
	p := policy(t, Options{Allow: []string{fmt.Sprintf("0.0.0.0/0:%d", v4.port), fmt.Sprintf("::/0:%d", v4.port)}})
	dial := p.Dialer(net.Dialer{})
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "0", "0.0.0.0",
		"::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "::", "localhost", "localhost.", "LOCALHOST", "64:ff9b::7f00:1", "2002:7f00:1::",
	} {
		conn, err := dial(t.Context(), "tcp", net.JoinHostPort(host, fmt.Sprint(v4.port)))
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: connected", host)
			continue
		}
		var dnsErr *net.DNSError
		if !errors.Is(err, ErrDenied) && !errors.As(err, &dnsErr) {
			t.Errorf("%s: %v", host, err)
		}
	}
	v4.untouched(t)
}

func TestTheHookItselfStopsAConnection(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			c := listenOn(t, host)
			p := policy(t, Options{})
			// The guarded dialer without the lookup before it.
			d := p.guard(net.Dialer{})
			_, err := d.DialContext(t.Context(), "tcp", c.Addr().String())
			if reasonOf(err) != ReasonLoopback {
				t.Errorf("%v", err)
			}
			c.untouched(t)
		})
	}
	p := policy(t, Options{Allow: []string{"127.0.0.0/8:*"}})
	d := p.guard(net.Dialer{})
	if conn, err := d.DialContext(t.Context(), "udp", "127.0.0.1:53"); !errors.Is(err, ErrDenied) {
		t.Errorf("udp: %v, %v", conn, err)
	}
	dial := p.Dialer(net.Dialer{})
	if _, err := dial(t.Context(), "unix", "127.0.0.1:53"); err == nil {
		t.Error("unix: connected")
	}
}

func TestHooksOfTheCallerRunAfterTheCheckOnly(t *testing.T) {
	c := listenOn(t, "127.0.0.1")
	var seen []string
	hook := func(_, address string, _ syscall.RawConn) error { seen = append(seen, address); return nil }
	denying := policy(t, Options{}).Dialer(net.Dialer{Control: hook})
	if _, err := denying(t.Context(), "tcp", c.Addr().String()); !errors.Is(err, ErrDenied) || len(seen) != 0 {
		t.Errorf("%v, %v", err, seen)
	}
	allowing := policy(t, Options{AllowLoopback: true}).Dialer(net.Dialer{Control: hook})
	conn, err := allowing(t.Context(), "tcp", c.Addr().String())
	if err != nil || len(seen) != 1 {
		t.Fatalf("%v, %v", err, seen)
	}
	_ = conn.Close()
}

// dnsServer answers on loopback: answers is asked for the addresses of each query.
func dnsServer(t *testing.T, answers func(name string, v6 bool) []string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); wg.Wait() })
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}
			if q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA {
				for _, a := range answers(strings.TrimSuffix(q.Name.String(), "."), q.Type == dnsmessage.TypeAAAA) {
					addr := netip.MustParseAddr(a)
					if q.Type == dnsmessage.TypeA {
						m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
					} else {
						m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
					}
				}
			}
			out, err := m.Pack()
			if err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestANameThatChangesItsAnswerFindsNoGap(t *testing.T) {
	// 127.0.0.2 stands for a public address, 127.0.0.3 for a private one.
	public, private := listenOn(t, "127.0.0.2"), listenOn(t, "127.0.0.3")
	for public.port == private.port {
		private = listenOn(t, "127.0.0.3")
	}
	var asked atomic.Int64
	resolver := dnsServer(t, func(_ string, v6 bool) []string {
		if v6 {
			return nil
		}
		if asked.Add(1)%2 == 1 {
			return []string{"127.0.0.2"}
		}
		return []string{"127.0.0.3"}
	})
	p := policy(t, Options{Allow: []string{"127.0.0.2/32:*"}, Resolver: resolver})
	dial := p.Dialer(net.Dialer{})
	for i := range 10 {
		// Saved while it is public …
		port := public.port
		if err := p.CheckHost(t.Context(), "rebind.example", port); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		// … private when it is delivered.
		_, err := dial(t.Context(), "tcp", fmt.Sprintf("rebind.example:%d", private.port))
		if got := reasonOf(err); got != ReasonLoopback {
			t.Fatalf("%d: %v", i, err)
		}
	}
	private.untouched(t)
}

func TestAPublicAndAPrivateAddressTogetherAreRefused(t *testing.T) {
	a, b := listenOn(t, "127.0.0.2"), listenOn(t, "::1")
	resolver := dnsServer(t, func(_ string, v6 bool) []string {
		if v6 {
			return []string{"::1"}
		}
		return []string{"127.0.0.2"}
	})
	p := policy(t, Options{Allow: []string{"127.0.0.2/32:*"}, Resolver: resolver})
	if got := reasonOf(p.CheckHost(t.Context(), "half.example", 443)); got != ReasonLoopback {
		t.Errorf("on save: %q", got)
	}
	for _, port := range []int{a.port, b.port} {
		_, err := p.Dialer(net.Dialer{})(t.Context(), "tcp", fmt.Sprintf("half.example:%d", port))
		if got := reasonOf(err); got != ReasonLoopback {
			t.Errorf("on connecting: %v", err)
		}
	}
	a.untouched(t)
	b.untouched(t)
}

func TestTheNextAddressIsTriedWhenOneFailsOrDoesNotAnswer(t *testing.T) {
	c := listenOn(t, "127.0.0.3")
	p := policy(t, Options{AllowLoopback: true, Resolver: names{"two": {"127.0.0.2", "127.0.0.3"}}})
	at := fmt.Sprintf("two:%d", c.port)
	// Nobody listens on 127.0.0.2.
	conn, err := p.Dialer(net.Dialer{})(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	// 127.0.0.2 does not answer at all.
	released := make(chan struct{})
	conn, err = p.Dialer(net.Dialer{ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		if strings.HasPrefix(address, "127.0.0.2:") {
			<-ctx.Done()
			close(released)
			return ctx.Err()
		}
		return nil
	}})(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != c.Addr().String() {
		t.Errorf("connected to %s", got)
	}
	<-released
	_ = conn.Close()
	// Nobody answers: the first error counts.
	var opErr *net.OpError
	if _, err := p.Dialer(net.Dialer{})(t.Context(), "tcp", "two:1"); !errors.As(err, &opErr) || errors.Is(err, ErrDenied) {
		t.Errorf("%v", err)
	}
}

func TestFamiliesTakeTurnsAndOnlyEightAddressesAreTried(t *testing.T) {
	var in []netip.AddrPort
	for _, a := range []string{"2000::1", "2000::2", "2000::3", "1.1.1.1"} {
		in = append(in, at(a, 443))
	}
	if got := fmt.Sprint(interleave(in)); got != "[[2000::1]:443 1.1.1.1:443 [2000::2]:443 [2000::3]:443]" {
		t.Error(got)
	}
	for i := range 1000 {
		in = append(in, at(fmt.Sprintf("2000::1:%x", i), 443))
	}
	if got := len(interleave(in)); got != maxAddresses {
		t.Error(got)
	}
}

type silent struct{}

func (silent) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestEachPhaseHasItsOwnTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := policy(t, Options{Resolver: silent{}}).Dialer(net.Dialer{})(t.Context(), "tcp", "silent.example:443")
		var dnsErr *net.DNSError
		if !errors.As(err, &dnsErr) || !dnsErr.IsTimeout || time.Since(start) != 3*time.Second {
			t.Errorf("lookup: %v after %s", err, time.Since(start))
		}
		blackHole := net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		for _, host := range []string{"127.0.0.1", "many"} {
			p := policy(t, Options{AllowLoopback: true, Resolver: names{"many": {"127.0.0.2", "127.0.0.3", "::1"}}})
			start = time.Now()
			_, err = p.Dialer(blackHole)(t.Context(), "tcp", host+":443")
			var netErr net.Error
			if !errors.As(err, &netErr) || !netErr.Timeout() || time.Since(start) != 5*time.Second {
				t.Errorf("connecting to %s: %v after %s", host, err, time.Since(start))
			}
		}
	})
}

func client(t *testing.T, o TransportOptions) *http.Client {
	t.Helper()
	transport := policy(t, Options{AllowLoopback: true}).Transport(o)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestTLSIsVerifiedAndNewerThanOneOne(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	server.StartTLS()
	defer server.Close()

	var unknown x509.UnknownAuthorityError
	if _, err := client(t, TransportOptions{}).Get(server.URL); !errors.As(err, &unknown) {
		t.Errorf("an unknown CA: %v", err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	resp, err := client(t, TransportOptions{RootCAs: trusted}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(body) != "HTTP/1.1" {
		t.Errorf("the request came as %s", body)
	}
	old := httptest.NewUnstartedServer(nil)
	old.Config.ErrorLog = server.Config.ErrorLog
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	trusted.AddCert(old.Certificate())
	if _, err := client(t, TransportOptions{RootCAs: trusted}).Get(old.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	// A name that the certificate does not have.
	p := policy(t, Options{AllowLoopback: true, Resolver: names{"elsewhere.test": {"127.0.0.1"}}})
	elsewhere := &http.Client{Transport: p.Transport(TransportOptions{RootCAs: trusted})}
	defer elsewhere.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	var wrongName x509.HostnameError
	if _, err := elsewhere.Get("https://elsewhere.test:" + port); !errors.As(err, &wrongName) {
		t.Errorf("wrong name: %v", err)
	}
}

func TestConnectionsAreKeptAndTheirPhasesCanBeTimed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("accept-encoding: %s", r.Header.Get("Accept-Encoding"))
		}
		_, _ = io.WriteString(w, r.RemoteAddr)
	}))
	defer server.Close()
	c := client(t, TransportOptions{})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	var dnsDone, connectDone, reused int
	trace := &httptrace.ClientTrace{
		DNSDone:     func(httptrace.DNSDoneInfo) { dnsDone++ },
		ConnectDone: func(_, _ string, _ error) { connectDone++ },
		GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		},
	}
	// By name, or there is nothing to look up. The tests' machine may know
	// localhost under two addresses, of which only one is listened on.
	p := policy(t, Options{AllowLoopback: true, Resolver: dnsServer(t, func(_ string, v6 bool) []string {
		if v6 {
			return nil
		}
		return []string{"127.0.0.1"}
	})})
	c.Transport = p.Transport(TransportOptions{})
	defer c.CloseIdleConnections()
	var from [2]string
	for i := range from {
		req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "http://receiver.test:"+port, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		from[i] = string(body)
	}
	if from[0] != from[1] || reused != 1 || dnsDone != 1 || connectDone != 1 {
		t.Errorf("from %v, %d reused, %d lookups, %d connects", from, reused, dnsDone, connectDone)
	}
}

func TestAnAnswerIsBoundedAndNotUnpacked(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", MaxResponseHeaderBytes))
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 1<<20))
		_ = z.Close()
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := client(t, TransportOptions{})
	if _, err := c.Get(server.URL + "/headers"); err == nil || !strings.Contains(err.Error(), "headers exceeded") {
		t.Errorf("%v", err)
	}
	resp, err := c.Get(server.URL + "/gzip")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if len(body) > 10_000 || resp.Uncompressed {
		t.Errorf("%d bytes, unpacked: %v", len(body), resp.Uncompressed)
	}
}

func TestARedirectIntoThePrivateNetworkIsDeniedToo(t *testing.T) {
	private := listenOn(t, "127.0.0.3")
	server := httptest.NewServer(http.RedirectHandler("http://"+private.Addr().String(), http.StatusTemporaryRedirect))
	defer server.Close()
	p := policy(t, Options{Allow: []string{"127.0.0.1/32:*"}})
	// A client that follows, unlike the sender's.
	c := &http.Client{Transport: p.Transport(TransportOptions{})}
	defer c.CloseIdleConnections()
	if _, err := c.Get(server.URL); reasonOf(err) != ReasonLoopback {
		t.Errorf("%v", err)
	}
	private.untouched(t)
}

func TestNoProxyIsUsed(t *testing.T) {
	transport := policy(t, Options{}).Transport(TransportOptions{})
	if transport.Proxy != nil || transport.OnProxyConnectResponse != nil {
		t.Error("there is a proxy")
	}
	if transport.TLSClientConfig.InsecureSkipVerify || transport.DialTLSContext != nil {
		t.Error("TLS is not verified")
	}
}
