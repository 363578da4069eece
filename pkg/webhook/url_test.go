package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

func TestAnEndpointIsPutIntoItsNormalForm(t *testing.T) {
	http, dev := URLRules{AllowHTTP: true}, URLRules{AllowHTTPLoopback: true, AllowAnyLoopbackPort: true}
	for _, tc := range []struct {
		raw   string
		rules URLRules
		want  string
	}{
		{"https://example.com/hook?a=b&c=%2F", URLRules{}, "https://example.com/hook?a=b&c=%2F"},
		{"HTTPS://EXAMPLE.com", URLRules{}, "https://example.com"},
		{"https://example.com:443/", URLRules{}, "https://example.com/"},
		{"https://example.com:/", URLRules{}, "https://example.com/"},
		{"https://example.com./", URLRules{}, "https://example.com/"},
		{"https://bücher.example/ü", URLRules{}, "https://xn--bcher-kva.example/%C3%BC"},
		{"https://example.com/é%2Fa?q=ü&r=%c3%bc&s=日", URLRules{}, "https://example.com/%C3%A9%2Fa?q=%C3%BC&r=%c3%bc&s=%E6%97%A5"},
		{"https://bücher.example?q=ü", URLRules{}, "https://xn--bcher-kva.example?q=%C3%BC"},
		{"https://XN--BCHER-KVA.example/", URLRules{}, "https://xn--bcher-kva.example/"},
		{"https://faß.example/", URLRules{}, "https://xn--fa-hia.example/"},
		{"https://my_service.internal/", URLRules{}, "https://my_service.internal/"},
		{"https://www。example。com/", URLRules{}, "https://www.example.com/"},
		{"https://8.8.8.8/", URLRules{}, "https://8.8.8.8/"},
		{"https://[2606:4700::1111]/", URLRules{}, "https://[2606:4700::1111]/"},
		{"http://example.com/", http, "http://example.com/"},
		{"http://example.com:80/", http, "http://example.com/"},
		{"https://example.com:80/", http, "https://example.com:80/"},
		{"http://example.com:443/", http, "http://example.com:443/"},
		{"https://example.com:8443/", URLRules{AllowPorts: []int{8443}}, "https://example.com:8443/"},
		{"https://example.com:9999/", URLRules{AllowAnyPort: true}, "https://example.com:9999/"},
		{"http://localhost:3000", dev, "http://localhost:3000"},
		{"http://127.0.0.1:8422/ok", dev, "http://127.0.0.1:8422/ok"},
		{"http://[::1]:3000/", dev, "http://[::1]:3000/"},
		{"http://[::ffff:127.0.0.1]:3000/", dev, "http://[::ffff:127.0.0.1]:3000/"},
		{"http://localhost.:3000", dev, "http://localhost:3000"},
		{"http://127.1:3000/", dev, "http://127.0.0.1:3000/"},
	} {
		u, err := CheckURL(tc.raw, tc.rules)
		if err != nil || u.String() != tc.want {
			t.Errorf("%s: got %v, %v, want %s", tc.raw, u, err, tc.want)
		}
	}
}

func TestEveryNotationOfAnIPv4AddressIsReadAsOne(t *testing.T) {
	for raw, want := range map[string]string{
		"127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "2130706433": "127.0.0.1", "0x7f.1": "127.0.0.1", "0x7f000001": "127.0.0.1",
		"0x7F.0X1": "127.0.0.1", "0177.0.0.1": "127.0.0.1", "0177.1": "127.0.0.1", "017700000001": "127.0.0.1", "0": "0.0.0.0",
		"0x": "0.0.0.0", "127.0.0.1.": "127.0.0.1", "１２７.０.０.１": "127.0.0.1", "①②⑦.0.0.1": "127.0.0.1", "127。0。0。1": "127.0.0.1",
		"0xa9fea9fe": "169.254.169.254", "169.16689662": "169.254.169.254", "4294967295": "255.255.255.255", "0xA.2.3.4": "10.2.3.4",
	} {
		u, err := CheckURL("https://"+raw+"/", URLRules{})
		if err != nil || u.Host != want {
			t.Errorf("%s: got %v, %v, want %s", raw, u, err, want)
		}
	}
}

func TestWhatIsNoEndpointIsRefusedWithItsReason(t *testing.T) {
	dev := URLRules{AllowHTTPLoopback: true, AllowAnyLoopbackPort: true}
	for _, tc := range []struct {
		raw   string
		rules URLRules
		code  string
	}{
		{"", URLRules{}, CodeURLRequired},
		{"https://example.com/" + strings.Repeat("a", 2029), URLRules{}, CodeURLTooLong},
		{"https://example.com/" + strings.Repeat("ü", 400), URLRules{}, CodeURLTooLong},
		{"http://example.com/", URLRules{}, CodeURLScheme},
		{"http://example.com/", dev, CodeURLScheme},
		{"http://10.0.0.1/", dev, CodeURLScheme},
		{"http://localhost.example.com/", dev, CodeURLScheme},
		{"ftp://example.com/", URLRules{}, CodeURLScheme},
		{"file:///etc/passwd", URLRules{}, CodeURLScheme},
		{"gopher://example.com/", URLRules{}, CodeURLScheme},
		{"javascript:alert(1)", URLRules{}, CodeURLScheme},
		{"example.com/hook", URLRules{}, CodeURLScheme},
		{"//example.com/hook", URLRules{}, CodeURLScheme},
		{"https:example.com", URLRules{}, CodeURLHost},
		{"https:///hook", URLRules{}, CodeURLHost},
		{"https://", URLRules{}, CodeURLHost},
		{"https://:443/", URLRules{}, CodeURLHost},
		{"https://./", URLRules{}, CodeURLHost},
		{"https://a..b/", URLRules{}, CodeURLHost},
		{"https://" + strings.Repeat("a", 64) + ".com/", URLRules{}, CodeURLHost},
		{"https://" + strings.Repeat("a.", 126) + "ab/", URLRules{}, CodeURLHost},
		{"https://exa%6dple.com/", URLRules{}, CodeURLInvalid},
		{"https://exam!ple.com/", URLRules{}, CodeURLHost},
		{"https://a,b/", URLRules{}, CodeURLHost},
		{"https://1.2.3.4.5/", URLRules{}, CodeURLHost},
		{"https://256.0.0.1/", URLRules{}, CodeURLHost},
		{"https://4294967296/", URLRules{}, CodeURLHost},
		{"https://0xfffffffffff/", URLRules{}, CodeURLHost},
		{"https://127.0.0.08/", URLRules{}, CodeURLHost},
		{"https://[fe80::1%25eth0]/", URLRules{}, CodeURLHost},
		{"https://[127.0.0.1]/", URLRules{}, CodeURLInvalid},
		{"https://user@example.com/", URLRules{}, CodeURLUserinfo},
		{"https://user:pw@example.com/", URLRules{}, CodeURLUserinfo},
		{"https://@example.com/", URLRules{}, CodeURLUserinfo},
		{"https://example.com@evil.com/", URLRules{}, CodeURLUserinfo},
		{"https://example.com/#a", URLRules{}, CodeURLFragment},
		{"https://example.com/#", URLRules{}, CodeURLFragment},
		{"https://example.com:0/", URLRules{}, CodeURLPort},
		{"https://example.com:65536/", URLRules{}, CodeURLPort},
		{"https://example.com:22/", URLRules{}, CodeURLPort},
		{"https://example.com:6379/", URLRules{}, CodeURLPort},
		{"https://example.com:80/", URLRules{}, CodeURLPort},
		{"https://example.com:8443/", URLRules{}, CodeURLPort},
		{"https://example.com:3000/", dev, CodeURLPort},
		{"https://example.com:x/", URLRules{}, CodeURLInvalid},
		{"https://example.com:-1/", URLRules{}, CodeURLInvalid},
		{"https://[::1/", URLRules{}, CodeURLInvalid},
		{"https://example.com/\r\nHost: evil", URLRules{}, CodeURLInvalid},
		{"https://example.com/a b", URLRules{}, CodeURLInvalid},
		{" https://example.com/", URLRules{}, CodeURLInvalid},
		{"https://example.com/\x00", URLRules{}, CodeURLInvalid},
		{"https://example.com/\x7f", URLRules{}, CodeURLInvalid},
		{"https://example.com/\u0085", URLRules{}, CodeURLInvalid},
		{"https://example.com/\u202Egro.live", URLRules{}, CodeURLInvalid},
		{"https://exa\u200Bmple.com/", URLRules{}, CodeURLInvalid},
		{"https://example.com\\@evil.com/", URLRules{}, CodeURLInvalid},
		{"https:\\\\example.com/", URLRules{}, CodeURLInvalid},
		{"https://example.com/%zz", URLRules{}, CodeURLInvalid},
		{"https://example.com/\xff", URLRules{}, CodeURLInvalid},
	} {
		u, err := CheckURL(tc.raw, tc.rules)
		var e *URLError
		if !errors.As(err, &e) || e.Code != tc.code || u != nil {
			t.Errorf("%.60q: got %v, %v, want %s", tc.raw, u, err, tc.code)
			continue
		}
		if e.Message == "" || strings.Contains(e.Message, "\r") || strings.Contains(e.Message, "pw") {
			t.Errorf("%.60q: message %q", tc.raw, e.Message)
		}
	}
}

func TestALookalikeNameIsShownAsWhatItIs(t *testing.T) {
	// Cyrillic "а" and "е".
	u, err := CheckURL("https://\u0430ppl\u0435.com/", URLRules{})
	if err != nil || u.Host != "xn--ppl-7cd1b.com" && !strings.HasPrefix(u.Host, "xn--") {
		t.Errorf("got %v, %v", u, err)
	}
}

// What passes is a URL that a second check leaves as it is, with a host in ASCII
// and nothing hidden in it.
func FuzzURLGuard(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/hook?a=b", "https://127.1/", "https://0x7f.1/", "http://localhost:3000", "https://[::ffff:7f00:1]/",
		"https://user@h/", "https://h/#", "https://bücher.example/", "https://a\\b/", "https://１２７.1/", "https://h:65536/", "https://%31/",
		"https://[::1]:443/", "https://xn--/", "https://h/%0d%0a", "https://h?q", "https://h/?", "https://.%2e/",
	} {
		f.Add(seed)
	}
	rules := URLRules{AllowHTTP: true, AllowAnyPort: true}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := CheckURL(raw, rules)
		if err != nil {
			var refused *URLError
			if !errors.As(err, &refused) {
				t.Fatalf("%q: %T", raw, err)
			}
			return
		}
		s := u.String()
		if len(s) > MaxURLLength || strings.ContainsFunc(s, func(c rune) bool {
			return c > unicode.MaxASCII || unicode.IsControl(c) || c == ' ' || c == '#' || c == '\\'
		}) {
			t.Fatalf("%q became %q", raw, s)
		}
		again, err := CheckURL(s, rules)
		if err != nil || again.String() != s {
			t.Fatalf("%q became %q, then %v, %v", raw, s, again, err)
		}
		parsed, err := url.Parse(s)
		if err != nil || parsed.Hostname() == "" || parsed.User != nil {
			t.Fatalf("%q became %q: %v", raw, s, err)
		}
		if addr, err := netip.ParseAddr(parsed.Hostname()); err == nil && addr.Zone() != "" {
			t.Fatalf("%q has a zone", s)
		} else if err != nil && endsInNumber(parsed.Hostname()) {
			t.Fatalf("%q: %q is a number", raw, parsed.Hostname())
		}
	})
}
