package safedial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

const (
	// ConnectTimeout bounds the connecting, over all addresses of a name.
	ConnectTimeout = 5 * time.Second
	// nextAddressAfter is when the next address is tried beside one that does not
	// answer (RFC 8305 section 5).
	nextAddressAfter = 250 * time.Millisecond
	// maxAddresses tried of one name: an answer with a thousand makes no flood.
	maxAddresses = 8
)

// Dialer returns the function that connects. It looks the name up (within 3
// seconds), checks every address, then connects (within ConnectTimeout) to the
// first that answers; each connection is checked once more in the socket's
// control hook, by the address that the kernel is given. Only TCP is allowed.
//
// Errors: *DeniedError; *net.DNSError from the lookup; *net.OpError from
// connecting. base brings KeepAlive, LocalAddr and the like; its Timeout may
// shorten ConnectTimeout, its Control hooks run after the check, and its Resolver
// is not used.
func (p *Policy) Dialer(base net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	base = p.guard(base)
	connectWithin := base.Timeout
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, portText, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		port, err := strconv.Atoi(portText)
		if err != nil {
			return nil, &net.AddrError{Err: "invalid port", Addr: addr}
		}
		addrs, err := p.lookup(ctx, network, host, port)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, connectWithin)
		defer cancel()
		conn, err := dialFirst(ctx, &base, network, interleave(addrs))
		if err != nil {
			// A denial in the hook comes wrapped in a net.OpError; callers need
			// not know that.
			var denied *DeniedError
			if errors.As(err, &denied) {
				return nil, denied
			}
			return nil, err
		}
		return conn, nil
	}
}

// guard is base with the check in its control hook.
func (p *Policy) guard(base net.Dialer) net.Dialer {
	if base.Timeout <= 0 || base.Timeout > ConnectTimeout {
		base.Timeout = ConnectTimeout
	}
	userControl, userControlContext := base.Control, base.ControlContext
	base.Control = nil
	base.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := p.control(ctx, network, address); err != nil {
			return err
		}
		if userControlContext != nil {
			return userControlContext(ctx, network, address, c)
		}
		if userControl != nil {
			return userControl(network, address, c)
		}
		return nil
	}
	return base
}

// control is the check that nothing gets around.
func (p *Policy) control(ctx context.Context, network, address string) error {
	switch network {
	case "tcp4", "tcp6":
	default:
		return fmt.Errorf("%w: %s connections are not made", ErrDenied, network)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: reading %q: %w", ErrDenied, address, err)
	}
	return p.check(ctx, at)
}

// interleave orders addresses so that the families take turns, beginning with the
// first one's, and drops what is too many.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var first, second []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() == addrs[0].Addr().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	out := make([]netip.AddrPort, 0, len(addrs))
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out[:min(len(out), maxAddresses)]
}

// dialFirst returns the first connection that comes about. The next address is
// tried when one has failed, or has not answered for a moment; what comes too late
// is closed.
func dialFirst(ctx context.Context, d *net.Dialer, network string, addrs []netip.AddrPort) (net.Conn, error) {
	if len(addrs) == 1 {
		return d.DialContext(ctx, network, addrs[0].String())
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn net.Conn
		err  error
	}
	// Room for all: nobody is left behind blocked.
	results := make(chan result, len(addrs))
	started, pending := 0, 0
	start := func() {
		at := addrs[started].String()
		started++
		pending++
		go func() {
			conn, err := d.DialContext(ctx, network, at)
			results <- result{conn, err}
		}()
	}
	var firstErr error
	start()
	for pending > 0 {
		var next <-chan time.Time
		var timer *time.Timer
		if started < len(addrs) {
			timer = time.NewTimer(nextAddressAfter)
			next = timer.C
		}
		select {
		case <-next:
			start()
		case got := <-results:
			if timer != nil {
				timer.Stop()
			}
			pending--
			if got.err == nil {
				cancel()
				go func(left int) {
					for range left {
						if late := <-results; late.conn != nil {
							_ = late.conn.Close()
						}
					}
				}(pending)
				return got.conn, nil
			}
			if firstErr == nil {
				firstErr = got.err
			}
			if started < len(addrs) {
				start()
			}
		}
	}
	cancel()
	return nil, firstErr
}
