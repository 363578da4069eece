package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aftercall/aftercall/pkg/safedial"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender/internal/outcome"
)

// stopwatch times the phases of one request and ends it when one takes too long.
type stopwatch struct {
	ctx     context.Context //nolint:containedctx // lives as long as the one request that it ends
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
	started time.Time
	over    atomic.Bool

	mu                                    sync.Mutex
	dnsStart, connectStart, tlsStart      time.Time
	dnsEnd, connectEnd, tlsEnd, firstByte time.Time
	wrote                                 time.Time
	reused                                bool
	remote                                string
}

var (
	errNoHeader = errors.New("no answer in time")
	errTooLong  = errors.New("the request took too long")
)

func newStopwatch(ctx context.Context, timeout time.Duration) *stopwatch {
	w := &stopwatch{timeout: timeout, started: time.Now()}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(timeout+afterHeader, func() {
		if w.over.Load() {
			w.cancel(errTooLong)
			return
		}
		w.cancel(errNoHeader)
	})
	return w
}

// answered ends the wait for the header; what is left of the total is for the
// body.
func (w *stopwatch) answered() {
	w.over.Store(true)
	w.timer.Reset(max(time.Until(w.started.Add(w.timeout+afterHeader)), 0))
}

func (w *stopwatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *stopwatch) trace() *httptrace.ClientTrace {
	mark := func(t *time.Time) {
		w.mu.Lock()
		*t = time.Now()
		w.mu.Unlock()
	}
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { mark(&w.dnsStart) },
		DNSDone:           func(httptrace.DNSDoneInfo) { mark(&w.dnsEnd) },
		ConnectStart:      func(string, string) { mark(&w.connectStart) },
		ConnectDone:       func(string, string, error) { mark(&w.connectEnd) },
		TLSHandshakeStart: func() { mark(&w.tlsStart) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			// A failed one stays the phase that the request ended in.
			if err == nil {
				mark(&w.tlsEnd)
			}
		},
		GotConn: func(info httptrace.GotConnInfo) {
			w.mu.Lock()
			w.reused = info.Reused
			if a := info.Conn.RemoteAddr(); a != nil {
				w.remote = a.String()
			}
			w.mu.Unlock()
		},
		WroteRequest: func(httptrace.WroteRequestInfo) {
			mark(&w.wrote)
			if !w.over.Load() {
				w.timer.Reset(min(w.timeout, max(time.Until(w.started.Add(w.timeout+afterHeader)), 0)))
			}
		},
		GotFirstResponseByte: func() { mark(&w.firstByte) },
	}
}

func (w *stopwatch) read() (*aftercallv1.Timings, string, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	took := time.Since(w.started)
	t := &aftercallv1.Timings{Total: durationpb.New(took), ConnectionReused: w.reused}
	span := func(from, to time.Time) *durationpb.Duration {
		if from.IsZero() || to.IsZero() {
			return nil
		}
		return durationpb.New(to.Sub(from))
	}
	t.Dns = span(w.dnsStart, w.dnsEnd)
	t.Connect = span(w.connectStart, w.connectEnd)
	t.Tls = span(w.tlsStart, w.tlsEnd)
	t.FirstByte = span(w.wrote, w.firstByte)
	return t, w.remote, took
}

// classify tells what kept a request from being answered.
func (w *stopwatch) classify(err error) outcome.Answer {
	answer := func(class aftercallv1.Attempt_ErrorClass, text string) outcome.Answer {
		return outcome.Answer{Class: class, Error: text}
	}
	var denied *safedial.DeniedError
	if errors.As(err, &denied) {
		return answer(aftercallv1.Attempt_ERROR_CLASS_POLICY, denied.Error())
	}
	if errors.Is(err, safedial.ErrDenied) {
		return answer(aftercallv1.Attempt_ERROR_CLASS_POLICY, "Connecting is not allowed.")
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		switch {
		case dns.IsNotFound:
			return answer(aftercallv1.Attempt_ERROR_CLASS_DNS, fmt.Sprintf("The name %s does not exist.", printable(dns.Name, 255)))
		case dns.IsTimeout:
			return answer(aftercallv1.Attempt_ERROR_CLASS_DNS, fmt.Sprintf("Looking up %s took too long.", printable(dns.Name, 255)))
		}
		return answer(aftercallv1.Attempt_ERROR_CLASS_DNS, fmt.Sprintf("Looking up %s failed: %s.", printable(dns.Name, 255), printable(dns.Err, 200)))
	}
	phase := w.phase()
	if errors.Is(context.Cause(w.ctx), errNoHeader) || errors.Is(context.Cause(w.ctx), errTooLong) {
		return answer(aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, w.timeoutText(phase))
	}
	if text, ok := tlsText(err); ok {
		return answer(aftercallv1.Attempt_ERROR_CLASS_TLS, text)
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return answer(aftercallv1.Attempt_ERROR_CLASS_TIMEOUT, w.timeoutText(phase))
	}
	if phase == "TLS handshake" {
		return answer(aftercallv1.Attempt_ERROR_CLASS_TLS, "The TLS handshake failed: "+reason(err)+".")
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return answer(aftercallv1.Attempt_ERROR_CLASS_CONNECT, "Connecting failed: "+reason(op.Err)+".")
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "server closed idle connection") {
		return answer(aftercallv1.Attempt_ERROR_CLASS_RESET, "The endpoint closed the connection before answering.")
	}
	return answer(aftercallv1.Attempt_ERROR_CLASS_PROTOCOL, "The answer is not valid HTTP: "+reason(err)+".")
}

// phase is what a request was doing last.
func (w *stopwatch) phase() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.wrote.IsZero():
		return "answer"
	case !w.tlsStart.IsZero() && w.tlsEnd.IsZero():
		return "TLS handshake"
	case !w.connectStart.IsZero() && w.connectEnd.IsZero():
		return "connecting"
	}
	return "request"
}

func (w *stopwatch) timeoutText(phase string) string {
	switch phase {
	case "answer":
		return fmt.Sprintf("No answer within %s.", w.timeout)
	case "TLS handshake":
		return fmt.Sprintf("The TLS handshake took longer than %s.", safedial.TLSTimeout)
	case "connecting":
		return fmt.Sprintf("Connecting took longer than %s.", safedial.ConnectTimeout)
	}
	return fmt.Sprintf("Sending the request took longer than %s.", w.timeout+afterHeader)
}

func tlsText(err error) (string, bool) {
	var (
		verification *tls.CertificateVerificationError
		hostname     x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
		header       tls.RecordHeaderError
		alert        tls.AlertError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("The certificate is not valid now: it is valid from %s to %s.",
			invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly)), true
	case errors.As(err, &hostname):
		return fmt.Sprintf("The certificate is not for %s.", printable(hostname.Host, 255)), true
	case errors.As(err, &authority):
		return "The certificate is signed by an authority that is not trusted here.", true
	case errors.As(err, &verification), errors.As(err, &invalid):
		return "The certificate cannot be verified: " + reason(err) + ".", true
	case errors.As(err, &header), errors.Is(err, http.ErrSchemeMismatch):
		return "The endpoint does not speak TLS on this port.", true
	case errors.As(err, &alert):
		return "The endpoint refused the TLS handshake: " + reason(alert) + ".", true
	}
	return "", false
}

// reason is the innermost text of an error: the outer ones repeat the URL, which
// may hold a token.
func reason(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return printable(err.Error(), 300)
		}
		err = next
	}
}
