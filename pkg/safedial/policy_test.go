package safedial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func policy(t *testing.T, o Options) *Policy {
	t.Helper()
	p, err := NewPolicy(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reasonOf(err error) Reason {
	var denied *DeniedError
	if errors.As(err, &denied) {
		return denied.Reason
	}
	if err != nil {
		return Reason("not a denial: " + err.Error())
	}
	return ""
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// ranges are the denied ranges of the design, written down a second time: each
// with its first and last address.
var ranges = []struct {
	first, last string
	reason      Reason
}{
	{"0.0.0.0", "0.0.0.0", ReasonUnspecified},
	{"0.0.0.1", "0.255.255.255", ReasonReserved},
	{"10.0.0.0", "10.255.255.255", ReasonPrivate},
	{"100.64.0.0", "100.127.255.255", ReasonShared},
	{"127.0.0.0", "127.255.255.255", ReasonLoopback},
	{"169.254.0.0", "169.254.255.255", ReasonLinkLocal},
	{"172.16.0.0", "172.31.255.255", ReasonPrivate},
	{"192.0.0.0", "192.0.0.255", ReasonReserved},
	{"192.0.2.0", "192.0.2.255", ReasonDocumentation},
	{"192.88.99.0", "192.88.99.255", ReasonTranslated},
	{"192.168.0.0", "192.168.255.255", ReasonPrivate},
	{"198.18.0.0", "198.19.255.255", ReasonReserved},
	{"198.51.100.0", "198.51.100.255", ReasonDocumentation},
	{"203.0.113.0", "203.0.113.255", ReasonDocumentation},
	{"224.0.0.0", "239.255.255.255", ReasonMulticast},
	{"255.255.255.255", "255.255.255.255", ReasonMulticast},
	{"240.0.0.0", "255.255.255.254", ReasonReserved},

	{"::", "::", ReasonUnspecified},
	{"::1", "::1", ReasonLoopback},
	{"::2", "::ffff:ffff", ReasonTranslated},
	{"::ffff:0:0:0", "::ffff:0:ffff:ffff", ReasonTranslated},
	{"64:ff9b::", "64:ff9b::ffff:ffff", ReasonTranslated},
	{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ReasonTranslated},
	{"100::", "100::ffff:ffff:ffff:ffff", ReasonReserved},
	{"1fff:ffff::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonReserved},
	{"2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", ReasonTranslated},
	{"2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonReserved},
	{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", ReasonDocumentation},
	{"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonTranslated},
	{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonDocumentation},
	{"4000::", "4000::", ReasonReserved},
	{"5f00::", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonReserved},
	{"8000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonReserved},
	{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonPrivate},
	{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonLinkLocal},
	{"fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonPrivate},
	{"ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ReasonMulticast},

	// Metadata services, and addresses of public ranges that lead elsewhere.
	{"169.254.169.254", "169.254.169.254", ReasonMetadata},
	{"100.100.100.200", "100.100.100.200", ReasonMetadata},
	{"168.63.129.16", "168.63.129.16", ReasonMetadata},
	{"fd00:ec2::254", "fd00:ec2::254", ReasonMetadata},
	{"2606:4700::5efe:8.8.8.8", "2606:4700::5efe:8.8.8.8", ReasonTranslated},
	{"2606:4700::200:5efe:8.8.8.8", "2606:4700::200:5efe:8.8.8.8", ReasonTranslated},
	{"::ffff:127.0.0.1", "::ffff:127.0.0.1", ReasonLoopback},
	{"::ffff:7f00:1", "::ffff:7f00:1", ReasonLoopback},
	{"::ffff:169.254.169.254", "::ffff:169.254.169.254", ReasonMetadata},
}

func TestEveryRangeThatIsNotPublicIsDenied(t *testing.T) {
	p := policy(t, Options{AllowHTTPPort80: true})
	for _, r := range ranges {
		for _, addr := range []string{r.first, r.last} {
			for _, port := range []uint16{443, 80, 22} {
				if got := reasonOf(p.Check(at(addr, port))); got != r.reason {
					t.Errorf("%s port %d: got %q, want %q", addr, port, got, r.reason)
				}
			}
		}
	}
	if len(what) < 10 {
		t.Error("reasons without words")
	}
	for _, d := range denied {
		if what[d.reason] == "" {
			t.Errorf("%s has no words", d.reason)
		}
	}
}

func TestTheNeighboursOfDeniedRangesArePublic(t *testing.T) {
	p := policy(t, Options{})
	for _, addr := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
		"172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255",
		"192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
		"168.63.129.15", "168.63.129.17", "8.8.8.8", "::ffff:8.8.8.8",
		"2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2001:4860:4860::8888", "2003::", "2606:4700::1111", "3ffe:ffff::", "3fff:1000::", "3fff:ffff::",
		"2606:4700::1:5efe:8.8.8.8",
	} {
		if err := p.Check(at(addr, 443)); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestOnlyTheUsualPortsAreOpen(t *testing.T) {
	https, http := policy(t, Options{}), policy(t, Options{AllowHTTPPort80: true})
	for _, port := range []uint16{0, 22, 25, 80, 6379, 8443, 9092, 65535} {
		if got := reasonOf(https.Check(at("8.8.8.8", port))); got != ReasonPort {
			t.Errorf("port %d: %q", port, got)
		}
	}
	if err := http.Check(at("8.8.8.8", 80)); err != nil {
		t.Error(err)
	}
	if got := reasonOf(http.Check(at("8.8.8.8", 8080))); got != ReasonPort {
		t.Errorf("port 8080: %q", got)
	}
	if got := reasonOf(https.Check(netip.AddrPort{})); got != ReasonUnspecified {
		t.Errorf("no address: %q", got)
	}
}

func TestTheMessageSaysWhatTheOperatorCanAllow(t *testing.T) {
	p := policy(t, Options{})
	for addr, want := range map[string]string{
		"10.2.3.4:8443":        "10.2.3.4 is a private address. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=10.2.3.4/32:8443",
		"[::ffff:10.2.3.4]:80": "10.2.3.4 is a private address. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=10.2.3.4/32:80",
		"127.0.0.1:443":        "127.0.0.1 is an address of the machine itself (loopback). The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=127.0.0.1/32:443",
		"[fd00::1]:443":        "fd00::1 is a private address. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=fd00::1/128:443",
		"8.8.8.8:22":           "Port 22 of 8.8.8.8 is not allowed. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=8.8.8.8/32:22",
	} {
		err := p.Check(netip.MustParseAddrPort(addr))
		if err == nil || err.Error() != want || !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		// And what it suggests helps.
		_, entry, _ := strings.Cut(want, "AFTERCALL_ALLOW_ADDRESSES=")
		if err := policy(t, Options{Allow: []string{entry}}).Check(netip.MustParseAddrPort(addr)); err != nil {
			t.Errorf("with %s: %v", entry, err)
		}
	}
	// Also for metadata, tunnels and the rest.
	for _, r := range ranges {
		addr := at(r.last, 443)
		var denied *DeniedError
		if !errors.As(p.Check(addr), &denied) {
			continue
		}
		_, entry, _ := strings.Cut(denied.Message, "AFTERCALL_ALLOW_ADDRESSES=")
		got := policy(t, Options{Allow: []string{entry}}).Check(addr)
		// An address that stands for another one needs that one to be allowed too.
		if got != nil && len(embedded(addr.Addr())) == 0 {
			t.Errorf("%s with %s: %v", r.last, entry, got)
		}
	}
}

func TestTheAllowList(t *testing.T) {
	for _, tc := range []struct {
		allow string
		addr  string
		want  Reason
	}{
		{"10.2.0.0/16", "10.2.3.4:443", ""},
		{"10.2.0.0/16", "10.2.3.4:80", ReasonPort},
		{"10.2.0.0/16", "10.2.3.4:8443", ReasonPort},
		{"10.2.0.0/16", "10.3.0.1:443", ReasonPrivate},
		{"10.2.0.0/16:8443", "10.2.3.4:8443", ""},
		{"10.2.0.0/16:8443", "10.2.3.4:443", ReasonPort},
		{"10.2.0.0/16:*", "10.2.3.4:1", ""},
		{"10.2.3.4", "10.2.3.4:443", ""},
		{"10.2.3.4:8443", "10.2.3.4:8443", ""},
		{" 10.2.3.4:8443 ", "[::ffff:10.2.3.4]:8443", ""},
		{"::ffff:10.2.0.0/112:8443", "10.2.3.4:8443", ""},
		{"::1", "[::1]:443", ""},
		{"::1/128:3000", "[::1]:3000", ""},
		{"[::1]:3000", "[::1]:3000", ""},
		{"[fd00:1::]/32:*", "[fd00:1::5]:9", ""},
		{"fd00:1::/64:8443", "[fd00:1::5]:8443", ""},
		{"fd00:1::/64:8443", "[fd00:2::5]:8443", ReasonPrivate},
		{"fc00::/7:*", "[fd12::1]:1234", ""},

		// A port for public addresses opens nothing else.
		{"0.0.0.0/0:8443", "8.8.8.8:8443", ""},
		{"0.0.0.0/0:8443", "10.2.3.4:8443", ReasonPrivate},
		{"0.0.0.0/0:*", "127.0.0.1:8443", ReasonLoopback},
		{"::/0:*", "[::1]:8443", ReasonLoopback},
		{"::/0:8443", "[2606:4700::1]:8443", ""},
		{"::/0:8443", "8.8.8.8:8443", ReasonPort},
		{"8.8.8.0/24:22", "8.8.8.8:22", ""},
		{"192.0.0.0/8:*", "192.168.1.1:443", ReasonPrivate},

		// A metadata service is opened by its own address only.
		{"169.254.0.0/16:*", "169.254.169.254:80", ReasonMetadata},
		{"169.254.0.0/16:*", "169.254.1.1:80", ""},
		{"169.254.169.254:80", "169.254.169.254:80", ""},
		{"168.63.129.0/24:*", "168.63.129.16:443", ReasonMetadata},
		{"168.63.129.16/32", "168.63.129.16:443", ""},

		// What stands for another address needs both.
		{"64:ff9b::/96", "[64:ff9b::8.8.8.8]:443", ""},
		{"64:ff9b::/96:*", "[64:ff9b::10.2.3.4]:443", ReasonPrivate},
		{"64:ff9b::/96:*,10.2.0.0/16:*", "[64:ff9b::10.2.3.4]:443", ""},
		{"64:ff9b:1::/48:*", "[64:ff9b:1:a02:3:400::]:443", ReasonPrivate},
		{"64:ff9b:1::/48:*", "[64:ff9b:1::10.2.3.4]:443", ReasonPrivate},
		{"64:ff9b:1::/48:*", "[64:ff9b:1::8.8.8.8]:443", ""},
		{"2002::/16:*", "[2002:7f00:1::]:443", ReasonLoopback},
		{"2002::/16:*", "[2002:808:808::]:443", ""},
		{"2001::/32:*", "[2001::80ff:fffe]:443", ReasonLoopback}, // Teredo: inverted
		{"::/96:*", "[::10.2.3.4]:443", ReasonPrivate},
		{"2606:4700::/32:*", "[2606:4700::5efe:10.2.3.4]:443", ReasonTranslated},
		{"2606:4700::5efe:10.2.3.4", "[2606:4700::5efe:10.2.3.4]:443", ReasonPrivate},
	} {
		p := policy(t, Options{Allow: strings.Split(tc.allow, ",")})
		if got := reasonOf(p.Check(netip.MustParseAddrPort(tc.addr))); got != tc.want {
			t.Errorf("%s, %s: got %q, want %q", tc.allow, tc.addr, got, tc.want)
		}
	}
}

func TestAnEntryThatCannotBeReadIsRefusedWithAnExample(t *testing.T) {
	for _, entry := range []string{
		"10.2.3.4/16", "10.2.0.0/33", "10.2.0.0/", "10.2.0.0/16:", "10.2.0.0/16:0", "10.2.0.0/16:65536", "10.2.0.0/16:http", "10.2.0.0/16:-1",
		"example.com", "example.com:443", "localhost", "10.2.0.0/16 10.3.0.0/16", "[::1", "[::1]x", "fe80::1%eth0", "::ffff:0:0/95", "*", ":443", "10.1:443",
	} {
		_, err := NewPolicy(Options{Allow: []string{entry}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", entry)) || !strings.Contains(err.Error(), "10.2.0.0/16:8443") {
			t.Errorf("%s: %v", entry, err)
		}
	}
	if p, err := NewPolicy(Options{Allow: []string{"", " "}}); err != nil || len(p.allow) != 0 {
		t.Errorf("empty entries: %v", err)
	}
}

func TestPortsOfTheAllowListCanBeWrittenInAnEndpoint(t *testing.T) {
	ports, anyPorts := policy(t, Options{Allow: []string{"10.0.0.0/8:8443", "fd00::/8:9443", "10.1.0.0/16:8443", "10.2.0.0/16"}}).AllowedPorts()
	if fmt.Sprint(ports, anyPorts) != "[8443 9443] false" {
		t.Error(ports, anyPorts)
	}
	if _, anyPorts := policy(t, Options{Allow: []string{"10.0.0.0/8:*"}}).AllowedPorts(); !anyPorts {
		t.Error("no port is open")
	}
}

type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	list, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func TestOwnAddressesAreDeniedWhateverIsAllowed(t *testing.T) {
	dns := names{"broker": {"10.0.0.9", "fd00::9"}}
	p := policy(t, Options{
		Allow:         []string{"0.0.0.0/8:*", "127.0.0.0/8:*", "::1/128:*", "::/128:*", "10.0.0.0/8:*", "fd00::/8:*", "8.8.8.8/32:*", "64:ff9b::/96:*"},
		Deny:          []string{"127.0.0.1:8420", ":8421", "0.0.0.0:8422", "[::]:8423", "localhost:8424", "broker:9092", "gone:5432", "8.8.8.8:443", "[::1]:8425"},
		AllowLoopback: true,
		Resolver:      dns,
	})
	p.interfaces = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("10.0.0.1"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("fd00::1"), Mask: net.CIDRMask(64, 128)}}, nil
	}
	for addr, want := range map[string]Reason{
		"127.0.0.1:8420":            ReasonOwn,
		"[::ffff:127.0.0.1]:8420":   ReasonOwn,
		"0.0.0.0:8420":              ReasonOwn, // Linux connects to 127.0.0.1
		"[64:ff9b::127.0.0.1]:8420": ReasonOwn,
		"127.0.0.1:8419":            "",
		"127.0.0.1:8421":            ReasonOwn,
		"127.9.9.9:8421":            ReasonOwn,
		"[::1]:8421":                ReasonOwn,
		"10.0.0.1:8421":             ReasonOwn,
		"[fd00::1]:8422":            ReasonOwn,
		"10.0.0.2:8421":             "",
		"[::1]:8423":                ReasonOwn,
		"127.0.0.1:8423":            ReasonOwn,
		"127.0.0.1:8424":            ReasonOwn,
		"[::1]:8424":                ReasonOwn,
		"[::]:8425":                 ReasonOwn,
		"10.0.0.9:9092":             ReasonOwn,
		"[fd00::9]:9092":            ReasonOwn,
		"10.0.0.8:9092":             "",
		"10.0.0.9:9093":             "",
		"10.0.0.8:5432":             ReasonOwn, // the name cannot be looked up: unknown is not allowed
		"8.8.8.8:443":               ReasonOwn,
	} {
		if got := reasonOf(p.Check(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	for _, host := range []string{"broker", "BROKER", "broker.", "localhost"} {
		port := 9092
		if host == "localhost" {
			port = 8424
		}
		if got := reasonOf(p.CheckHost(t.Context(), host, port)); got != ReasonOwn {
			t.Errorf("%s: %q", host, got)
		}
	}
	for _, bad := range []string{"", "host", "host:", "host:x", "host:0", "1.2.3.4:70000"} {
		if _, err := NewPolicy(Options{Deny: []string{bad}}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestDevelopmentAllowsThisMachineOnEveryPortAndNothingElse(t *testing.T) {
	p := policy(t, Options{AllowLoopback: true, AllowHTTPPort80: true, Deny: []string{"127.0.0.1:8420"}})
	for addr, want := range map[string]Reason{
		"127.0.0.1:3000": "", "127.8.8.8:1": "", "[::1]:3000": "", "[::ffff:127.0.0.1]:3000": "",
		"127.0.0.1:8420": ReasonOwn, "10.0.0.1:3000": ReasonPrivate, "0.0.0.0:3000": ReasonUnspecified, "[2002:7f00:1::]:3000": ReasonTranslated,
	} {
		if got := reasonOf(p.Check(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	var allow []string
	for _, r := range PrivateRanges {
		allow = append(allow, r+":*")
	}
	p = policy(t, Options{Allow: allow})
	for _, addr := range []string{"10.0.0.1:1", "172.20.0.1:2", "192.168.0.1:3", "[fd00::1]:4"} {
		if err := p.Check(netip.MustParseAddrPort(addr)); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestANameIsRefusedWhenOneOfItsAddressesIs(t *testing.T) {
	p := policy(t, Options{Resolver: names{
		"public":          {"8.8.8.8", "2606:4700::1111"},
		"half":            {"8.8.8.8", "fd00::1"},
		"private":         {"10.0.0.1"},
		"mapped":          {"::ffff:10.0.0.1"},
		"10.0.0.1.nip.io": {"10.0.0.1"},
		"empty":           {},
	}})
	for host, want := range map[string]Reason{
		"public": "", "half": ReasonPrivate, "private": ReasonPrivate, "mapped": ReasonPrivate, "10.0.0.1.nip.io": ReasonPrivate,
		"8.8.8.8": "", "127.0.0.1": ReasonLoopback, "::1": ReasonLoopback, "[::1]": ReasonLoopback, "fe80::1%lo": ReasonLinkLocal,
	} {
		err := p.CheckHost(t.Context(), host, 443)
		if got := reasonOf(err); got != want {
			t.Errorf("%s: got %q (%v), want %q", host, got, err, want)
		}
		if host == "half" && err.Error() != "half leads to fd00::1: fd00::1 is a private address. The operator can allow it: AFTERCALL_ALLOW_ADDRESSES=fd00::1/128:443" {
			t.Errorf("message: %v", err)
		}
	}
	for _, host := range []string{"empty", "unknown"} {
		var dnsErr *net.DNSError
		if err := p.CheckHost(t.Context(), host, 443); !errors.As(err, &dnsErr) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, port := range []int{-1, 0, 65536} {
		if err := p.CheckHost(t.Context(), "public", port); err == nil {
			t.Errorf("port %d is taken", port)
		}
	}
}

func FuzzAllowList(f *testing.F) {
	for _, seed := range []string{"10.2.0.0/16:8443", "::1/128:*", "[fd00::]/8:1", "0.0.0.0/0", "1.2.3.4:5", "::ffff:1.2.3.4/120"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		p, err := NewPolicy(Options{Allow: []string{entry}})
		if err != nil || len(p.allow) == 0 {
			return
		}
		a := p.allow[0]
		if !a.prefix.IsValid() || a.prefix != a.prefix.Masked() || a.prefix.Addr().Is4In6() {
			t.Fatalf("%q became %v", entry, a.prefix)
		}
		// However it is written, the entry opens nothing outside itself.
		for _, r := range ranges {
			addr := netip.MustParseAddr(r.first).Unmap()
			if !a.prefix.Contains(addr) && p.Check(netip.AddrPortFrom(addr, 443)) == nil && len(embedded(addr)) == 0 {
				t.Fatalf("%q opens %s", entry, addr)
			}
		}
	})
}
