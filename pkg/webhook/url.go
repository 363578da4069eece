package webhook

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxURLLength in characters, before and after normalisation.
const MaxURLLength = 2048

// Codes of URLError. They are part of the API and never change.
const (
	CodeURLRequired  = "required"
	CodeURLTooLong   = "too_long"
	CodeURLInvalid   = "invalid_url"
	CodeURLScheme    = "scheme_not_allowed"
	CodeURLUserinfo  = "userinfo_not_allowed"
	CodeURLFragment  = "fragment_not_allowed"
	CodeURLHost      = "invalid_host"
	CodeURLPort      = "port_not_allowed"
	defaultHTTPSPort = 443
	defaultHTTPPort  = 80
)

// URLRules is what a deployment allows beyond https on the usual port. The zero
// value is the strictest.
type URLRules struct {
	// AllowHTTP allows http everywhere, and port 80 with it.
	AllowHTTP bool
	// AllowHTTPLoopback allows http to this machine: an address literal of the
	// loopback range, or localhost.
	AllowHTTPLoopback bool
	// AllowPorts are allowed beside 443, and beside 80 where http is.
	AllowPorts []int
	// AllowAnyPort leaves the port to the address policy (package safedial): for
	// deployments whose allow-list names ports.
	AllowAnyPort bool
	// AllowAnyLoopbackPort allows every port of this machine.
	AllowAnyLoopbackPort bool
}

// URLError says why an endpoint is refused, and what to do.
type URLError struct {
	Code    string
	Message string
}

func (e *URLError) Error() string { return e.Message }

func refuse(code, format string, args ...any) (*url.URL, error) {
	return nil, &URLError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CheckURL tells whether raw may be an endpoint, and returns it normalised: the
// scheme and host in lower case, the host in its ASCII form (punycode) without a
// final dot, an IPv4 address in whatever notation (0x7f.1, 2130706433) as four
// decimal numbers, a needless port left out. Path and query stay as they were, but
// for letters beyond ASCII, which become what [AsSent] makes of them. A non-nil
// error is a *URLError.
//
// It resolves nothing. The address is checked by package safedial, when a
// subscription is saved and again for each connection.
func CheckURL(raw string, r URLRules) (*url.URL, error) {
	if err := checkCharacters(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(AsSent(raw))
	if err != nil {
		return refuse(CodeURLInvalid, "This is not a URL: it looks like https://example.com/webhook.")
	}
	u.Scheme = lower(u.Scheme)
	switch u.Scheme {
	case "https", "http":
	case "":
		return refuse(CodeURLScheme, "The endpoint starts with https://.")
	default:
		return refuse(CodeURLScheme, "%s is not allowed: the endpoint starts with https://.", u.Scheme)
	}
	if u.Opaque != "" || u.Host == "" {
		return refuse(CodeURLHost, "The endpoint has no host: it looks like https://example.com/webhook.")
	}
	if u.User != nil {
		return refuse(CodeURLUserinfo, "The endpoint contains a user name or password: put them into an Additional Webhook Header (Authorization) instead.")
	}
	if strings.Contains(raw, "#") {
		return refuse(CodeURLFragment, "The endpoint contains a #: what follows it is never sent. Remove it, or write %%23.")
	}
	host, err := normalHost(u)
	if err != nil {
		return nil, err
	}
	loopback := isLoopback(host)
	if u.Scheme == "http" && !r.AllowHTTP && !(r.AllowHTTPLoopback && loopback) {
		return refuse(CodeURLScheme, "http is not allowed: use https. The operator can allow it: AFTERCALL_ALLOW_HTTP=true")
	}
	port, err := checkPort(u, r, loopback)
	if err != nil {
		return nil, err
	}
	u.Host = host
	if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	if port != 0 {
		u.Host += ":" + strconv.Itoa(port)
	}
	if n := len(u.String()); n > MaxURLLength {
		return refuse(CodeURLTooLong, "The endpoint has %d characters when sent; %d are allowed.", n, MaxURLLength)
	}
	return u, nil
}

// AsSent is an endpoint as a request's first line has it: letters beyond ASCII in
// path and query percent-encoded, as UTF-8, and nothing else touched. By itself
// net/http would leave them in the query, which is no valid request, and turn a %2F
// beside them in the path into a slash.
func AsSent(endpoint string) string {
	start := 0
	if i := strings.Index(endpoint, "://"); i >= 0 {
		start = i + len("://")
	}
	tail := strings.IndexAny(endpoint[start:], "/?#")
	if tail < 0 {
		return endpoint
	}
	start += tail
	if strings.IndexFunc(endpoint[start:], func(c rune) bool { return c >= utf8.RuneSelf }) < 0 {
		return endpoint
	}
	var b strings.Builder
	b.WriteString(endpoint[:start])
	for i := start; i < len(endpoint); i++ {
		if c := endpoint[i]; c >= utf8.RuneSelf {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func checkCharacters(raw string) error {
	var err error
	switch {
	case raw == "":
		_, err = refuse(CodeURLRequired, "The endpoint is missing.")
	case !utf8.ValidString(raw):
		_, err = refuse(CodeURLInvalid, "The endpoint is not valid UTF-8.")
	case utf8.RuneCountInString(raw) > MaxURLLength:
		_, err = refuse(CodeURLTooLong, "The endpoint has %d characters; %d are allowed.", utf8.RuneCountInString(raw), MaxURLLength)
	case strings.Contains(raw, `\`):
		_, err = refuse(CodeURLInvalid, `The endpoint contains a \: use /, or write %%5C.`)
	}
	if err != nil {
		return err
	}
	for _, c := range raw {
		switch {
		case unicode.IsSpace(c), unicode.Is(unicode.Z, c):
			_, err = refuse(CodeURLInvalid, "The endpoint contains a space or line break: remove it, or write %%20.")
			return err
		case unicode.Is(unicode.C, c):
			// Control characters, and invisible ones that make a URL look like
			// another.
			_, err = refuse(CodeURLInvalid, "The endpoint contains a control or invisible character (U+%04X): remove it.", c)
			return err
		}
	}
	return nil
}

// hostProfile is UTS 46 as browsers look names up. Underscores stay possible:
// internal names have them.
var hostProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(false), idna.CheckHyphens(false), idna.VerifyDNSLength(false))

// normalHost is the host in the form in which it is checked, looked up and sent,
// without brackets or port.
func normalHost(u *url.URL) (string, error) {
	host := u.Hostname()
	bad := func(format string, args ...any) (string, error) {
		return "", &URLError{Code: CodeURLHost, Message: fmt.Sprintf(format, args...)}
	}
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() {
			return bad("[%s] is not an IPv6 address.", host)
		}
		if addr.Zone() != "" {
			return bad("An address with a zone (%%%s) is not allowed.", addr.Zone())
		}
		return addr.String(), nil
	}
	if strings.Contains(host, ":") {
		return bad("An IPv6 address stands in brackets: https://[2001:db8::1]/.")
	}
	ascii, err := hostProfile.ToASCII(host)
	if err != nil {
		return bad("%q is not a host name.", host)
	}
	ascii = strings.TrimSuffix(ascii, ".")
	switch {
	case ascii == "":
		return bad("The endpoint has no host: it looks like https://example.com/webhook.")
	case len(ascii) > 253:
		return bad("The host name has %d characters; 253 are allowed.", len(ascii))
	}
	for label := range strings.SplitSeq(ascii, ".") {
		switch {
		case label == "":
			return bad("%q is not a host name: there are two dots in a row.", host)
		case len(label) > 63:
			return bad("A part of the host name has %d characters; 63 are allowed.", len(label))
		case strings.IndexFunc(label, notHostRune) >= 0:
			return bad("%q is not a host name: use letters, digits, - and dots.", host)
		}
	}
	if !endsInNumber(ascii) {
		return ascii, nil
	}
	addr, ok := parseIPv4(ascii)
	if !ok {
		return bad("%q is neither a host name nor an IPv4 address.", host)
	}
	return addr.String(), nil
}

func notHostRune(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
}

// endsInNumber tells whether a host is an IPv4 address in any notation, valid or
// not (WHATWG URL, "ends in a number checker").
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return false
	}
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// parseIPv4 reads the notations that inet_aton and browsers accept: one to four
// parts, each decimal, octal (0…) or hexadecimal (0x…), the last one filling
// what is left. A connection would read them so; a check must too.
func parseIPv4(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		n, ok := parseIPv4Number(part)
		if !ok {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false
			}
			value |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, false
		}
		value |= n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func parseIPv4Number(s string) (uint64, bool) {
	base := 10
	switch {
	case s == "":
		return 0, false
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, base, 33)
	return n, err == nil
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// checkPort returns the port to write, 0 for the scheme's own.
func checkPort(u *url.URL, r URLRules, loopback bool) (int, error) {
	own := defaultHTTPSPort
	if u.Scheme == "http" {
		own = defaultHTTPPort
	}
	written := u.Port()
	if written == "" {
		return 0, nil
	}
	port, err := strconv.ParseUint(written, 10, 16)
	if err != nil || port == 0 {
		return 0, &URLError{Code: CodeURLPort, Message: fmt.Sprintf("%s is not a port: it is a number from 1 to 65535.", written)}
	}
	p := int(port)
	switch {
	case p == own:
		return 0, nil
	case p == defaultHTTPSPort, p == defaultHTTPPort && r.AllowHTTP, r.AllowAnyPort,
		slices.Contains(r.AllowPorts, p), loopback && r.AllowAnyLoopbackPort:
		return p, nil
	}
	return 0, &URLError{Code: CodeURLPort, Message: fmt.Sprintf(
		"Port %d is not allowed: leave it out, for port %d. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=<network>:%d", p, own, p)}
}
