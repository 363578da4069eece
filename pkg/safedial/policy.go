package safedial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Ports that are allowed without an entry in the allow-list.
const (
	portHTTPS = 443
	portHTTP  = 80
)

// dnsTimeout bounds one lookup of a name.
const dnsTimeout = 3 * time.Second

// ownLookupTTL is how long the addresses of the deployment's own names count.
const ownLookupTTL = 30 * time.Second

// Resolver looks a name up. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options are a deployment's settings. The zero value allows public addresses on
// port 443.
type Options struct {
	// Allow lists what is allowed beyond that: "CIDR" (the usual ports),
	// "CIDR:port" (this port) or "CIDR:*" (every port). Only an entry that lies
	// within a denied range opens addresses of it; a wider one, such as
	// 0.0.0.0/0:8443, opens a port of public addresses. A metadata service is
	// opened by an entry for exactly its address.
	Allow []string
	// Deny lists the deployment's own addresses, host:port: broker, database,
	// listeners. It wins over everything else. An empty host or 0.0.0.0 means
	// this machine under each of its addresses.
	Deny []string
	// AllowHTTPPort80 adds port 80, where plain http is allowed.
	AllowHTTPPort80 bool
	// AllowLoopback allows this machine on every port: for development.
	AllowLoopback bool
	// Resolver looks names up; nil for the system's.
	Resolver Resolver
}

// Policy decides which addresses may be connected to. It is safe for concurrent
// use, and never changes.
type Policy struct {
	allow    []allowed
	own      []ownAddress
	ports    []int
	loopback bool
	resolver Resolver
	// interfaces lists this machine's addresses; replaced in tests.
	interfaces func() ([]net.Addr, error)
}

// ErrDenied is what every denial is.
var ErrDenied = errors.New("address denied")

// DeniedError is a denial. Its text is for people, and names what the operator
// could allow.
type DeniedError struct {
	// Host is the name that led there, "" when an address was given.
	Host   string
	Addr   netip.AddrPort
	Reason Reason
	// Message is the text without the host.
	Message string
}

func (e *DeniedError) Error() string {
	if e.Host == "" {
		return e.Message
	}
	return e.Host + " leads to " + e.Addr.Addr().String() + ": " + e.Message
}

// Is makes errors.Is(err, ErrDenied) true.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// NewPolicy reads the settings. It looks nothing up.
func NewPolicy(o Options) (*Policy, error) {
	p := &Policy{ports: []int{portHTTPS}, loopback: o.AllowLoopback, resolver: o.Resolver, interfaces: net.InterfaceAddrs}
	if p.resolver == nil {
		p.resolver = net.DefaultResolver
	}
	if o.AllowHTTPPort80 {
		p.ports = append(p.ports, portHTTP)
	}
	var errs []error
	for _, entry := range o.Allow {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		a, err := parseAllowed(entry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.allow = append(p.allow, a)
	}
	for _, entry := range o.Deny {
		own, err := parseOwn(entry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.own = append(p.own, own)
	}
	return p, errors.Join(errs...)
}

// AllowedPorts are the ports that may be written in an endpoint beside 443: those
// that the allow-list names. anyPorts is true when an entry allows every port. They
// are for the check of an endpoint's text; Check decides.
func (p *Policy) AllowedPorts() (ports []int, anyPorts bool) {
	for _, a := range p.allow {
		switch {
		case a.port == anyPort:
			anyPorts = true
		case a.port != usualPorts && !slices.Contains(ports, a.port):
			ports = append(ports, a.port)
		}
	}
	return ports, anyPorts
}

// Check tells whether this address and port may be connected to. Except for own
// names (Deny) it looks nothing up. A non-nil error is a *DeniedError.
func (p *Policy) Check(addr netip.AddrPort) error {
	return p.check(context.Background(), addr)
}

func (p *Policy) check(ctx context.Context, at netip.AddrPort) error {
	addr := at.Addr().WithZone("").Unmap()
	at = netip.AddrPortFrom(addr, at.Port())
	if !addr.IsValid() {
		return &DeniedError{Addr: at, Reason: ReasonUnspecified, Message: "There is no address to connect to."}
	}
	port := int(at.Port())
	if p.isOwn(ctx, at) {
		return &DeniedError{Addr: at, Reason: ReasonOwn,
			Message: at.String() + " belongs to Aftercall itself, and is never an endpoint."}
	}
	// An address that stands for another one must be allowed itself, and so must
	// the one it stands for.
	if err := p.checkAddr(addr, port); err != nil {
		return err
	}
	for _, inner := range embedded(addr) {
		if p.isOwn(ctx, netip.AddrPortFrom(inner, at.Port())) {
			return &DeniedError{Addr: at, Reason: ReasonOwn,
				Message: at.String() + " leads to Aftercall itself, and is never an endpoint."}
		}
		if err := p.checkAddr(inner, port); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policy) checkAddr(addr netip.Addr, port int) error {
	if p.loopback && addr.IsLoopback() {
		return nil
	}
	reason := classify(addr)
	opened := reason == ""
	portOpen := reason == "" && slices.Contains(p.ports, port)
	for _, a := range p.allow {
		if !a.prefix.Contains(addr) || reason != "" && !a.special {
			continue
		}
		if reason == ReasonMetadata && !a.prefix.IsSingleIP() {
			continue
		}
		opened = true
		if a.port == anyPort || a.port == port || a.port == usualPorts && slices.Contains(p.ports, port) {
			portOpen = true
		}
	}
	at := netip.AddrPortFrom(addr, uint16(port))
	switch {
	case opened && portOpen:
		return nil
	case opened:
		return &DeniedError{Addr: at, Reason: ReasonPort, Message: fmt.Sprintf(
			"Port %d of %s is not allowed. The operator can allow it: %s", port, addr, suggestion(at))}
	}
	return &DeniedError{Addr: at, Reason: reason, Message: fmt.Sprintf(
		"%s is %s. The operator can allow it: %s", addr, what[reason], suggestion(at))}
}

func suggestion(at netip.AddrPort) string {
	return fmt.Sprintf("AFTERCALL_ALLOW_ADDRESSES=%s/%d:%d", at.Addr(), at.Addr().BitLen(), at.Port())
}

// CheckHost looks host up and checks each of its addresses, as a connection to it
// would: for the moment when an endpoint is saved. The error is a *DeniedError, or
// what the lookup failed with (*net.DNSError). host may be an address.
func (p *Policy) CheckHost(ctx context.Context, host string, port int) error {
	_, err := p.lookup(ctx, "tcp", host, port)
	return err
}

// lookup returns the addresses of host when all of them are allowed.
func (p *Policy) lookup(ctx context.Context, network, host string, port int) ([]netip.AddrPort, error) {
	if port < 1 || port > 65535 {
		return nil, &net.AddrError{Err: "invalid port", Addr: strconv.Itoa(port)}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if p.isOwnName(host, port) {
		return nil, &DeniedError{Reason: ReasonOwn,
			Message: net.JoinHostPort(host, strconv.Itoa(port)) + " belongs to Aftercall itself, and is never an endpoint."}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		at := netip.AddrPortFrom(addr, uint16(port))
		return []netip.AddrPort{at}, p.check(ctx, at)
	}
	addrs, err := lookupName(ctx, p.resolver, network, host)
	if err != nil {
		return nil, err
	}
	out := make([]netip.AddrPort, 0, len(addrs))
	for _, addr := range addrs {
		at := netip.AddrPortFrom(addr.Unmap(), uint16(port))
		if err := p.check(ctx, at); err != nil {
			var denial *DeniedError
			if errors.As(err, &denial) {
				denial.Host, denial.Addr = host, at
			}
			return nil, err
		}
		out = append(out, at)
	}
	return out, nil
}

// lookupName bounds a lookup; whatever goes wrong is a *net.DNSError.
func lookupName(ctx context.Context, resolver Resolver, network, host string) ([]netip.Addr, error) {
	family := "ip"
	switch network {
	case "tcp4":
		family = "ip4"
	case "tcp6":
		family = "ip6"
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	ctx, cancel := context.WithTimeout(withoutValues{ctx}, dnsTimeout)
	defer cancel()
	addrs, err := resolver.LookupNetIP(ctx, family, host)
	if trace != nil && trace.DNSDone != nil {
		info := httptrace.DNSDoneInfo{Err: err}
		for _, addr := range addrs {
			info.Addrs = append(info.Addrs, net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()})
		}
		trace.DNSDone(info)
	}
	var dnsErr *net.DNSError
	switch {
	case err != nil && errors.As(err, &dnsErr):
		return nil, err
	case err != nil:
		return nil, &net.DNSError{Err: err.Error(), Name: host, IsTimeout: ctx.Err() == context.DeadlineExceeded, UnwrapErr: err}
	case len(addrs) == 0:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

// withoutValues hides a request's trace from the resolver: its connections to name
// servers would be reported as connections to the endpoint. (net.Dialer does the
// same with a key that only the standard library has.)
type withoutValues struct{ context.Context } //nolint:containedctx // it is a context

func (withoutValues) Value(any) any { return nil }

// ownAddress is one entry of Options.Deny.
type ownAddress struct {
	// name in lower case; "" when addr is set or everywhere is.
	name string
	addr netip.Addr
	// everywhere is this machine under each of its addresses.
	everywhere bool
	port       int
	looked     *ownLookup
}

type ownLookup struct {
	mu    sync.Mutex
	until time.Time
	addrs []netip.Addr
}

func parseOwn(entry string) (ownAddress, error) {
	host, portText, err := net.SplitHostPort(strings.TrimSpace(entry))
	if err != nil {
		return ownAddress{}, fmt.Errorf("own address %q: %w", entry, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return ownAddress{}, fmt.Errorf("own address %q: %q is not a port", entry, portText)
	}
	own := ownAddress{port: int(port)}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && addr.IsUnspecified():
		own.everywhere = true
	case err == nil:
		own.addr = canonical(addr)
	default:
		own.name, own.looked = host, &ownLookup{}
	}
	return own, nil
}

// canonical is the address that a connection to addr reaches: 0.0.0.0 and :: are
// this machine.
func canonical(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("").Unmap()
	switch {
	case addr == netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case addr == netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return addr
}

func (p *Policy) isOwnName(host string, port int) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, own := range p.own {
		if own.port == port && own.name != "" && own.name == host {
			return true
		}
	}
	return false
}

func (p *Policy) isOwn(ctx context.Context, at netip.AddrPort) bool {
	addr := canonical(at.Addr())
	for _, own := range p.own {
		if own.port != int(at.Port()) {
			continue
		}
		switch {
		case own.everywhere:
			if p.isThisMachine(addr) {
				return true
			}
		case own.addr.IsValid():
			if own.addr == addr {
				return true
			}
		case p.leadsTo(ctx, own, addr):
			return true
		}
	}
	return false
}

func (p *Policy) isThisMachine(addr netip.Addr) bool {
	if addr.IsLoopback() {
		return true
	}
	interfaces, err := p.interfaces()
	if err != nil {
		// Unknown is not allowed.
		return true
	}
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil && prefix.Addr().WithZone("").Unmap() == addr {
			return true
		}
	}
	return false
}

// leadsTo tells whether one of the deployment's own names has this address now. A
// lookup that fails denies: only connections to the port of that name get here.
func (p *Policy) leadsTo(ctx context.Context, own ownAddress, addr netip.Addr) bool {
	if own.name == "localhost" || strings.HasSuffix(own.name, ".localhost") {
		return addr.IsLoopback()
	}
	l := own.looked
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		addrs, err := lookupName(ctx, p.resolver, "tcp", own.name)
		if err != nil {
			return true
		}
		for i := range addrs {
			addrs[i] = canonical(addrs[i])
		}
		l.addrs, l.until = addrs, now.Add(ownLookupTTL)
	}
	return slices.Contains(l.addrs, addr)
}
