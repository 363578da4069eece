package safedial

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// anyPort is the port of an entry ending in ":*".
const anyPort = -1

// usualPorts is the port of an entry without one.
const usualPorts = 0

type allowed struct {
	prefix netip.Prefix
	// port, or anyPort, or usualPorts.
	port int
	// special is set when the whole prefix is denied by itself: only such an
	// entry opens denied addresses. One that is wider, such as 0.0.0.0/0:8443,
	// is about ports of public addresses, and opens nothing inside.
	special bool
}

// parseAllowed reads "CIDR", "CIDR:port" or "CIDR:*". A single address needs no
// mask; an IPv6 address without one stands in brackets if a port follows.
func parseAllowed(entry string) (allowed, error) {
	bad := func(why string) (allowed, error) {
		return allowed{}, fmt.Errorf("address %q in the allow-list: %s; it looks like 10.2.0.0/16, 10.2.0.0/16:8443 or fd00:1::/64:*", entry, why)
	}
	s := strings.TrimSpace(entry)
	network, port := s, ""
	hasPort := false
	switch slash := strings.LastIndexByte(s, '/'); {
	case slash >= 0:
		if mask, p, ok := strings.Cut(s[slash:], ":"); ok {
			network, port, hasPort = s[:slash]+mask, p, true
		}
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return bad("a bracket is not closed")
		}
		network = s[:end+1]
		if rest := s[end+1:]; rest != "" {
			if rest[0] != ':' {
				return bad("something follows the bracket")
			}
			port, hasPort = rest[1:], true
		}
	case strings.Count(s, ":") == 1:
		network, port, hasPort = s[:strings.IndexByte(s, ':')], s[strings.IndexByte(s, ':')+1:], true
	}
	network = strings.NewReplacer("[", "", "]", "").Replace(network)

	var a allowed
	if strings.Contains(network, "/") {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return bad("it is not a network")
		}
		a.prefix = prefix
	} else {
		addr, err := netip.ParseAddr(network)
		if err != nil || addr.Zone() != "" {
			return bad("it is not an address")
		}
		a.prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if addr := a.prefix.Addr(); addr.Is4In6() {
		if a.prefix.Bits() < 96 {
			return bad("it is not a network")
		}
		a.prefix = netip.PrefixFrom(addr.Unmap(), a.prefix.Bits()-96)
	}
	if a.prefix != a.prefix.Masked() {
		return bad(fmt.Sprintf("it has bits beyond its mask: %s is meant?", a.prefix.Masked()))
	}
	switch {
	case !hasPort:
		a.port = usualPorts
	case port == "*":
		a.port = anyPort
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad(fmt.Sprintf("%q is not a port", port))
		}
		a.port = int(n)
	}
	a.special = isSpecial(a.prefix)
	return a, nil
}

// isSpecial tells whether every address of p is denied by itself.
func isSpecial(p netip.Prefix) bool {
	if p.IsSingleIP() {
		return classify(p.Addr()) != ""
	}
	for _, d := range denied {
		if d.prefix.Bits() <= p.Bits() && d.prefix.Contains(p.Addr()) {
			return true
		}
	}
	return false
}
