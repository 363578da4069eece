package client

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// UsageError is a flag or an argument with a value that cannot be meant: the
// process ends with the status of wrong usage, and nothing was done.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// Usage is err as one of usage; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{Err: err}
}

// Usagef is Usage with a text.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// The words of filters, as the API knows them.
var (
	Results = []string{"delivered", "failed", "not_sent"}
	States  = []string{"queued", "waiting", "delivered", "given_up", "stopped"}
	Errors  = []string{"dns", "connect", "tls", "timeout", "reset", "protocol", "status", "policy"}
	Causes  = []string{"call_ended", "test", "resend", "replay"}
)

// OneOf refuses a flag's value that is none of words; nothing is fine.
func OneOf(flag, value string, words []string) error {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return Usagef("--%s is one of %s, not %q", flag, strings.Join(words, ", "), value)
}

// Status refuses what is neither an HTTP status nor a class of them; nothing is fine.
func Status(flag, value string) error {
	if value == "" {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSuffix(strings.ToLower(value), "xx"))
	if err != nil || len(value) != 3 || n < 1 {
		return Usagef("--%s is an HTTP status or a class of them, such as 503 or 5xx, not %q", flag, value)
	}
	return nil
}

// Address refuses what cannot be listened on or connected to: no host:port.
func Address(flag, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 {
		return Usagef("--%s is host:port, such as 127.0.0.1:8420, not %q", flag, addr)
	}
	return nil
}

// address says whether base is an address of the API.
func address(base string) bool {
	u, err := url.Parse(base)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
