package post

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// open is an opener that seals nothing.
type open struct{}

func (open) Unseal(_, _ string, sealed []byte) ([]byte, error) { return sealed, nil }

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func poster(t *testing.T, options safedial.TransportOptions) *Poster {
	t.Helper()
	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	transport := policy.Transport(options)
	t.Cleanup(transport.CloseIdleConnections)
	return New(transport, open{}, "test")
}

func send(t *testing.T, p *Poster, url string) *Report {
	t.Helper()
	return sendWithin(t, p, url, subscription.MaxTimeout)
}

// sendWithin is for what ends by its time-out.
func sendWithin(t *testing.T, p *Poster, url string, timeout time.Duration) *Report {
	t.Helper()
	sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: url, Timeout: timeout, SealedSecret: []byte(secretText)}
	r, err := p.Post(context.Background(), &aftercallv1.Delivery{EventId: "evt_1", DeliveryId: "dlv_1", Attempt: 1, Payload: []byte(`{"CallId":"1"}`)}, sub)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// raw is a server that reads one request and then does what it likes with the
// connection.
func raw(t *testing.T, behave func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					behave(conn)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, text) }
}

const (
	none     = aftercallv1.Attempt_ERROR_CLASS_UNSPECIFIED
	status   = aftercallv1.Attempt_ERROR_CLASS_STATUS
	timeout  = aftercallv1.Attempt_ERROR_CLASS_TIMEOUT
	reset    = aftercallv1.Attempt_ERROR_CLASS_RESET
	protocol = aftercallv1.Attempt_ERROR_CLASS_PROTOCOL
	badTLS   = aftercallv1.Attempt_ERROR_CLASS_TLS
	connect  = aftercallv1.Attempt_ERROR_CLASS_CONNECT
	noDNS    = aftercallv1.Attempt_ERROR_CLASS_DNS
	policy   = aftercallv1.Attempt_ERROR_CLASS_POLICY
)

func TestWhateverAnEndpointAnswersIsUnderstood(t *testing.T) {
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for name, c := range map[string]struct {
		behave func(net.Conn)
		status int
		class  aftercallv1.Attempt_ErrorClass
	}{
		"200":                        {says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), 200, none},
		"204 with a body":            {says("HTTP/1.1 204 No Content\r\n\r\nsurprise"), 204, none},
		"200, then a chunk error":    {says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 200, none},
		"200, content-length lies":   {says("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort"), 200, none},
		"200 without an end":         {func(c net.Conn) { says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")(c); hang(c) }, 200, none},
		"HTTP/1.0":                   {says("HTTP/1.0 200 OK\r\n\r\nold"), 200, none},
		"a redirect is not followed": {says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), 302, status},
		"307 neither":                {says("HTTP/1.1 307 Temporary Redirect\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), 307, status},
		"410":                        {says("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), 410, status},
		"101":                        {says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 101, status},
		"103, then 200":              {says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 200, none},
		"endless 1xx":                {says(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 5000)), 0, protocol},
		"status 099":                 {says("HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"), 99, status},
		"status 000":                 {says("HTTP/1.1 000 What\r\nContent-Length: 0\r\n\r\n"), 0, protocol},
		"status 700":                 {says("HTTP/1.1 700 What\r\nContent-Length: 0\r\n\r\n"), 700, status},
		"not HTTP":                   {says("SSH-2.0-OpenSSH_9.9\r\n"), 0, protocol},
		"content-length and chunked": {says("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 200, none},
		"two content-lengths":        {says("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), 0, protocol},
		"32 MiB of headers": {func(c net.Conn) {
			says("HTTP/1.1 200 OK\r\n")(c)
			flood(c, "X-A: "+strings.Repeat("a", 1000)+"\r\n", 32<<20)
		}, 0, protocol},
		"NUL in a header":                     {says("HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n"), 0, protocol},
		"ANSI and HTML in a body":             {says("HTTP/1.1 500 No\r\nContent-Length: 21\r\n\r\n\x1b[2J<script>x</script>"), 500, status},
		"says nothing":                        {hang, 0, timeout},
		"one byte a second":                   {func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n\r\n", 200*time.Millisecond) }, 0, timeout},
		"closes at once":                      {func(net.Conn) {}, 0, reset},
		"resets":                              {func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }, 0, reset},
		"closes within the headers":           {says("HTTP/1.1 200 OK\r\nX-A: "), 0, reset},
		"closes after the headers":            {says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), 200, none},
		"closes after the headers of a 500":   {says("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n"), 500, status},
		"Set-Cookie and Alt-Svc":              {says("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\nContent-Length: 0\r\n\r\n"), 200, none},
		"a gzip bomb is not unpacked":         {says("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"), 200, none},
		"400":                                 {says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), 400, status},
		"a status line that never ends a 200": {func(c net.Conn) { flood(c, "HTTP/1.1 200 "+strings.Repeat("O", 4096), 1<<20) }, 0, protocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := poster(t, safedial.TransportOptions{})
			limit := 10 * time.Second // a body without an end is waited for as long
			if c.class == timeout {
				limit = time.Second
			}
			r := sendWithin(t, p, raw(t, c.behave), limit)
			if r.Status != c.status || r.Class != c.class {
				t.Errorf("status %d, class %v (%s), want %d, %v", r.Status, r.Class, r.Error, c.status, c.class)
			}
			if (r.Class == none) != (r.Error == "") {
				t.Errorf("class %v says %q", r.Class, r.Error)
			}
			// A busy machine may take its time to notice.
			if r.Took > limit+afterHeader+time.Minute {
				t.Errorf("took %v", r.Took)
			}
			if len(r.Body) > MaxBody {
				t.Errorf("kept %d bytes", len(r.Body))
			}
		})
	}
}

func flood(c net.Conn, line string, total int) {
	chunk := []byte(strings.Repeat(line, 64))
	for sent := 0; sent < total; sent += len(chunk) {
		if _, err := c.Write(chunk); err != nil {
			return
		}
	}
}

// drip writes slowly, until the other side has had enough.
func drip(c net.Conn, text string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-tick.C
	}
}

func TestAHugeAnswerIsCutAndItsConnectionClosed(t *testing.T) {
	closed := make(chan struct{})
	url := raw(t, func(c net.Conn) {
		defer close(closed)
		says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", int64(10)<<30))(c)
		flood(c, strings.Repeat("x", 1024), 1<<30)
	})
	r := send(t, poster(t, safedial.TransportOptions{}), url)
	if r.Status != 200 || len(r.Body) != MaxBody || !r.Truncated {
		t.Errorf("status %d, %d bytes, truncated %v", r.Status, len(r.Body), r.Truncated)
	}
	<-closed
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer server.Close()
	p := poster(t, safedial.TransportOptions{})
	for i := range 3 {
		if r := send(t, p, server.URL); r.Timings.GetConnectionReused() != (i > 0) {
			t.Errorf("request %d: reused %v", i, r.Timings.GetConnectionReused())
		}
	}
}

func TestNobodyListening(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if r := send(t, poster(t, safedial.TransportOptions{}), "http://"+ln.Addr().String()); r.Class != connect {
		t.Errorf("%v: %s", r.Class, r.Error)
	}
	if r := send(t, poster(t, safedial.TransportOptions{}), "http://nowhere.invalid:8443/"); r.Class != noDNS {
		t.Errorf("%v: %s", r.Class, r.Error)
	}
}

func TestADeniedAddressIsNotConnectedTo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	touched := make(chan struct{}, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			_ = c.Close()
			touched <- struct{}{}
		}
	}()
	strict, err := safedial.NewPolicy(safedial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := New(strict.Transport(safedial.TransportOptions{}), open{}, "test")
	r := send(t, p, "http://"+ln.Addr().String())
	if r.Class != policy || !strings.Contains(r.Error, "AFTERCALL_ALLOW_ADDRESSES") {
		t.Errorf("%v: %s", r.Class, r.Error)
	}
	select {
	case <-touched:
		t.Error("a connection was made")
	default:
	}
}

// certificate makes one for 127.0.0.1, with changes.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSFaultsAreNamed(t *testing.T) {
	same := func(*x509.Certificate) {}
	for name, c := range map[string]struct {
		certificate func(*x509.Certificate)
		config      *tls.Config
		trusted     bool
		class       aftercallv1.Attempt_ErrorClass
		text        string
	}{
		"good":             {same, &tls.Config{}, true, none, ""},
		"self-signed":      {same, &tls.Config{}, false, badTLS, "authority that is not trusted"},
		"expired":          {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, &tls.Config{}, true, badTLS, "not valid now"},
		"not yet valid":    {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, &tls.Config{}, true, badTLS, "not valid now"},
		"for another host": {func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, &tls.Config{}, true, badTLS, "127.0.0.1"},
		"TLS 1.0 only":     {same, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, true, badTLS, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, pool := certificate(t, c.certificate)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ErrorLog = nil
			server.TLS = c.config.Clone()
			server.TLS.Certificates = []tls.Certificate{cert}
			server.StartTLS()
			defer server.Close()
			if !c.trusted {
				pool = x509.NewCertPool()
			}
			r := send(t, poster(t, safedial.TransportOptions{RootCAs: pool}), server.URL)
			if r.Class != c.class || !strings.Contains(r.Error, c.text) {
				t.Errorf("%v: %s", r.Class, r.Error)
			}
		})
	}
	t.Run("plain HTTP on a TLS port", func(t *testing.T) {
		plain := httptest.NewServer(http.NotFoundHandler())
		defer plain.Close()
		r := send(t, poster(t, safedial.TransportOptions{}), strings.Replace(plain.URL, "http", "https", 1))
		if r.Class != badTLS || !strings.Contains(r.Error, "does not speak TLS") {
			t.Errorf("%v: %s", r.Class, r.Error)
		}
	})
}

func TestACancelledRequestHasNoOutcome(t *testing.T) {
	url := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: url, SealedSecret: []byte(secretText)}
	if _, err := poster(t, safedial.TransportOptions{}).Post(ctx, &aftercallv1.Delivery{}, sub); err == nil {
		t.Error("an outcome")
	}
}

func TestAReportHoldsNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	sub := &subscription.Subscription{ID: "s", Version: 1, Endpoint: server.URL, SealedSecret: []byte(secretText),
		Headers: []subscription.Header{{Name: "X-Key", Secret: true, Sealed: []byte("canary")}}}
	r, err := poster(t, safedial.TransportOptions{}).Post(context.Background(), &aftercallv1.Delivery{}, sub)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Request {
		if strings.Contains(h.GetValue(), "canary") {
			t.Errorf("%s: %s", h.GetName(), h.GetValue())
		}
	}
}
