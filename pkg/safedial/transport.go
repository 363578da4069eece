package safedial

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// Limits of every transport.
const (
	// TLSTimeout bounds the TLS handshake.
	TLSTimeout = 5 * time.Second
	// MaxResponseHeaderBytes of an answer; more is an error of the request.
	MaxResponseHeaderBytes = 32 << 10
)

// TransportOptions size a transport.
type TransportOptions struct {
	// MaxIdleConnsPerHost kept open for the next request; at least as many as
	// there are concurrent requests to one endpoint, or each one connects anew.
	// 0 is 64: eight shards of the default concurrency.
	MaxIdleConnsPerHost int
	// MaxIdleConns over all endpoints; 0 is 1,024.
	MaxIdleConns int
	// IdleConnTimeout closes unused connections; 0 is 60 seconds.
	IdleConnTimeout time.Duration
	// RootCAs are trusted instead of the system's; nil for the system's.
	RootCAs *x509.CertPool
	// Dialer brings KeepAlive and the like, see Policy.Dialer.
	Dialer net.Dialer
}

// Transport makes a transport that connects through the policy: HTTP/1.1 with
// keep-alive, TLS 1.2 or newer and always verified, no proxy (it would connect in
// our place), no decompression, response headers of at most MaxResponseHeaderBytes.
// How long an answer may take is for the request's context.
func (p *Policy) Transport(o TransportOptions) *http.Transport {
	if o.MaxIdleConnsPerHost <= 0 {
		o.MaxIdleConnsPerHost = 64
	}
	if o.MaxIdleConns <= 0 {
		o.MaxIdleConns = 1024
	}
	if o.IdleConnTimeout <= 0 {
		o.IdleConnTimeout = time.Minute
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            p.Dialer(o.Dialer),
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    TLSTimeout,
		DisableCompression:     true,
		MaxIdleConns:           o.MaxIdleConns,
		MaxIdleConnsPerHost:    o.MaxIdleConnsPerHost,
		IdleConnTimeout:        o.IdleConnTimeout,
		MaxResponseHeaderBytes: MaxResponseHeaderBytes,
		ForceAttemptHTTP2:      false,
		// Not nil: the default would add HTTP/2.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		Protocols:    protocols,
		// Expect: 100-continue is never sent, so its time-out is not set.
	}
}
