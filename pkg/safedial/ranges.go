package safedial

import "net/netip"

// Reason says why an address is denied. Reasons are stable codes.
type Reason string

// Reasons.
const (
	ReasonLoopback      Reason = "loopback"
	ReasonPrivate       Reason = "private"
	ReasonLinkLocal     Reason = "link_local"
	ReasonShared        Reason = "shared"
	ReasonMetadata      Reason = "cloud_metadata"
	ReasonUnspecified   Reason = "unspecified"
	ReasonMulticast     Reason = "multicast"
	ReasonDocumentation Reason = "documentation"
	ReasonTranslated    Reason = "translated"
	ReasonReserved      Reason = "reserved"
	// ReasonOwn is an address of this deployment: its broker, database, listeners.
	ReasonOwn Reason = "own_address"
	// ReasonPort is a port that is not allowed at this address.
	ReasonPort Reason = "port"
)

// what completes the sentence "10.2.3.4 is …".
var what = map[Reason]string{
	ReasonLoopback:      "an address of the machine itself (loopback)",
	ReasonPrivate:       "a private address",
	ReasonLinkLocal:     "a link-local address",
	ReasonShared:        "an address of a provider's inner network (100.64.0.0/10)",
	ReasonMetadata:      "the address of a cloud's metadata service",
	ReasonUnspecified:   "not the address of a machine",
	ReasonMulticast:     "a multicast or broadcast address",
	ReasonDocumentation: "an address reserved for documentation",
	ReasonTranslated:    "an address that stands for another one (translation or tunnel)",
	ReasonReserved:      "a reserved address",
}

type deniedRange struct {
	prefix netip.Prefix
	reason Reason
}

func r(prefix string, reason Reason) deniedRange {
	return deniedRange{netip.MustParsePrefix(prefix), reason}
}

// denied are the ranges that are not public; the first that contains an address
// names the reason. Together, the IPv6 ones leave 2000::/3 less its special
// parts. (IANA special-purpose registries; RFC 6890 and its updates.)
var denied = []deniedRange{
	r("0.0.0.0/32", ReasonUnspecified),
	r("0.0.0.0/8", ReasonReserved),
	r("10.0.0.0/8", ReasonPrivate),
	r("100.64.0.0/10", ReasonShared),
	r("127.0.0.0/8", ReasonLoopback),
	r("169.254.0.0/16", ReasonLinkLocal),
	r("172.16.0.0/12", ReasonPrivate),
	r("192.0.0.0/24", ReasonReserved),
	r("192.0.2.0/24", ReasonDocumentation),
	r("192.88.99.0/24", ReasonTranslated),
	r("192.168.0.0/16", ReasonPrivate),
	r("198.18.0.0/15", ReasonReserved),
	r("198.51.100.0/24", ReasonDocumentation),
	r("203.0.113.0/24", ReasonDocumentation),
	r("224.0.0.0/4", ReasonMulticast),
	r("255.255.255.255/32", ReasonMulticast),
	r("240.0.0.0/4", ReasonReserved),

	r("::/128", ReasonUnspecified),
	r("::1/128", ReasonLoopback),
	r("::/96", ReasonTranslated),           // IPv4-compatible
	r("::ffff:0:0/96", ReasonTranslated),   // IPv4-mapped; unwrapped before it gets here
	r("::ffff:0:0:0/96", ReasonTranslated), // IPv4-translated (SIIT)
	r("64:ff9b::/96", ReasonTranslated),    // NAT64
	r("64:ff9b:1::/48", ReasonTranslated),  // NAT64, local use
	r("2001::/32", ReasonTranslated),       // Teredo
	r("2001::/23", ReasonReserved),
	r("2001:db8::/32", ReasonDocumentation),
	r("2002::/16", ReasonTranslated), // 6to4
	r("3fff::/20", ReasonDocumentation),
	r("fc00::/7", ReasonPrivate),
	r("fe80::/10", ReasonLinkLocal),
	r("fec0::/10", ReasonPrivate),
	r("ff00::/8", ReasonMulticast),
	// Everything else outside 2000::/3.
	r("::/3", ReasonReserved),
	r("4000::/2", ReasonReserved),
	r("8000::/1", ReasonReserved),
}

// metadata are the addresses under which clouds hand out credentials. Only an
// entry for exactly that address allows one: a range never does.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("fd00:ec2::254"),
}

// PrivateRanges are the networks that people mean by "private", beside loopback:
// what a development mode may allow as a whole.
var PrivateRanges = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}

// classify returns why an address is denied by itself, "" for a public one.
func classify(addr netip.Addr) Reason {
	for _, m := range metadata {
		if addr == m {
			return ReasonMetadata
		}
	}
	for _, d := range denied {
		if d.prefix.Contains(addr) {
			return d.reason
		}
	}
	if isISATAP(addr) {
		return ReasonTranslated
	}
	return ""
}

// isISATAP tells whether the interface identifier is 0:5efe:a.b.c.d, with the
// universal/local bit or without (RFC 5214 section 6.1).
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// embedded returns the IPv4 addresses that an IPv6 address may lead to: the mapped
// form aside, which is the same address written differently. There are two where
// the position depends on how a translator is set up.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() || addr.IsUnspecified() || addr.IsLoopback() {
		return nil
	}
	b := addr.As16()
	v4 := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	last := v4(12, 13, 14, 15)
	switch {
	case compatible.Contains(addr), translated.Contains(addr), nat64.Contains(addr), isISATAP(addr):
		return []netip.Addr{last}
	case nat64Local.Contains(addr):
		// RFC 6052 section 2.2, for a prefix of 48 bits.
		if split := v4(6, 7, 9, 10); !split.IsUnspecified() {
			return []netip.Addr{split, last}
		}
		return []netip.Addr{last}
	case sixToFour.Contains(addr):
		return []netip.Addr{v4(2, 3, 4, 5)}
	case teredo.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

var (
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)
