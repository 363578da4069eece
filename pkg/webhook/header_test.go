package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func codes(wrong []*HeaderError) string {
	var out []string
	for _, e := range wrong {
		out = append(out, fmt.Sprintf("%d/%s:%s", e.Index, e.Part, e.Code))
	}
	return strings.Join(out, " ")
}

func TestNamesThatHTTPOrAftercallSetsAreRefused(t *testing.T) {
	for _, name := range []string{
		"host", "content-length", "content-type", "transfer-encoding", "te", "connection", "keep-alive", "upgrade", "trailer",
		"expect", "proxy-authorization", "proxy-connection", "proxy-x", "webhook-id", "webhook-signature", "webhook-timestamp",
		"webhook-anything", "aftercall-attempt", "aftercall-anything", "abp-webhook-signature", "idempotency-key", "x-idempotency-key",
	} {
		for _, form := range []string{name, strings.ToUpper(name), http.CanonicalHeaderKey(name)} {
			err := CheckHeaderName(form)
			var e *HeaderError
			if !errors.As(err, &e) || e.Code != CodeHeaderReserved || e.Part != "name" {
				t.Errorf("%s: %v", form, err)
				continue
			}
			if !strings.Contains(e.Message, form) || !strings.Contains(e.Message, "Remove it") {
				t.Errorf("%s: the message does not say what to do: %s", form, e.Message)
			}
		}
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "User-Agent", "Cookie", "Accept", "webhook", "proxy", "X-Host", "x_team", "hosts", "traceparent"} {
		if err := CheckHeaderName(name); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
}

func TestWhatIsNoTokenIsNoName(t *testing.T) {
	for _, name := range []string{"", " ", "X Team", " X-Team", "X-Team:", "X-Team: a", "X\x00Team", "X\r\nEvil", "Ünïcode", "X-Team\t", "(x)", "a/b", strings.Repeat("a", 257), "\u212Aeep-Alive"} {
		var e *HeaderError
		if !errors.As(CheckHeaderName(name), &e) || e.Code != CodeHeaderName {
			t.Errorf("%q: %v", name, e)
		}
	}
}

func TestValuesThatCannotBeSentAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, value := range []string{"s3cret\r\nX-Evil: 1", "s3cret\n", "s3cret\r", "s3cret\x00", "s3cret\x7f", "\x1bs3cret", " s3cret", "s3cret ", "s3cret\t", strings.Repeat("s3cret", 1000)} {
		var e *HeaderError
		if !errors.As(CheckHeaderValue(value), &e) || e.Code != CodeHeaderValue || strings.Contains(e.Message, "s3cret") {
			t.Errorf("%.20q: %v", value, e)
		}
	}
	for _, value := range []string{"", "a b\tc", "Bearer x==", "caf\xe9", "日本", strings.Repeat("a", MaxHeaderValueBytes)} {
		if err := CheckHeaderValue(value); err != nil {
			t.Errorf("%.20q is refused: %v", value, err)
		}
	}
}

func TestAListHas32HeadersEachOnce(t *testing.T) {
	var list []Header
	for i := range MaxHeaders {
		list = append(list, Header{Name: fmt.Sprintf("X-%d", i), Value: "v"})
	}
	if wrong := CheckHeaders(list); wrong != nil {
		t.Errorf("32 headers: %s", codes(wrong))
	}
	if got := codes(CheckHeaders(append(list, Header{Name: "X-33"}))); got != "-1/:"+CodeHeadersTooMany {
		t.Errorf("33 headers: %s", got)
	}
	got := codes(CheckHeaders([]Header{{Name: "X-A", Value: "1"}, {Name: "Host", Value: "a\n"}, {Name: "x-a", Value: "2"}, {Name: "X-a"}}))
	want := "1/name:" + CodeHeaderReserved + " 1/value:" + CodeHeaderValue + " 2/name:" + CodeHeaderDuplicate + " 3/name:" + CodeHeaderDuplicate
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSecretsAreMaskedForShowing(t *testing.T) {
	in := []Header{{"X-Key", "s3cret", true}, {"authorization", "Bearer s3cret", false}, {"Cookie", "s3cret", false}, {"X-Team", "sales", false}}
	out := Mask(in)
	if s := fmt.Sprint(out); strings.Contains(s, "s3cret") || !strings.Contains(s, "sales") {
		t.Errorf("got %s", s)
	}
	if in[0].Value != "s3cret" {
		t.Error("the original was changed")
	}
}

func TestTheHeadersOfARequest(t *testing.T) {
	m := Message{ID: "evt_1", EventType: "App.QueueWebhook", DeliveryID: "dlv_1", Attempt: 2, Cause: "test", Test: true,
		Traceparent: "00-1-2-01", Version: "1.2", ContentType: "application/json", Time: time.Unix(1_800_000_000, 999), Body: []byte("{}")}
	render := func(hs []Header) string {
		var out []string
		for _, h := range hs {
			out = append(out, h.Name+": "+h.Value)
		}
		return strings.Join(out, "\n")
	}
	want := `content-type: application/json
user-agent: Aftercall/1.2
webhook-id: evt_1
webhook-timestamp: 1800000000
aftercall-event-type: App.QueueWebhook
aftercall-delivery-id: dlv_1
aftercall-attempt: 2
aftercall-cause: test
webhook-test: true
traceparent: 00-1-2-01
X-Team: sales`
	if got := render(m.Headers([]Header{{Name: "X-Team", Value: "sales"}})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m.Test = false
	got := render(m.Headers([]Header{{Name: "User-Agent", Value: "mine"}, {Name: "Traceparent", Value: "theirs"}}))
	if strings.Contains(got, "Aftercall/1.2") || strings.Contains(got, "00-1-2-01") || strings.Contains(got, "webhook-test") {
		t.Errorf("got\n%s", got)
	}
}

// Whatever passes is sent as it is, and adds nothing to the request.
func FuzzHeaderRules(f *testing.F) {
	for _, seed := range [][2]string{{"X-Team", "sales"}, {"Host", "evil"}, {"X\r\nEvil", "1"}, {"X", "a\r\nB: c"}, {"X:", ""}, {"webhook-id", ""}, {"x", "\x80"}, {"ſ", "a"}, {"TE", "trailers"}} {
		f.Add(seed[0], seed[1])
	}
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, name, value string) {
		if CheckHeaders([]Header{{Name: name, Value: value}}) != nil {
			return
		}
		folded := strings.ToLower(name)
		for _, prefix := range []string{"webhook-", "aftercall-", "proxy-"} {
			if strings.HasPrefix(folded, prefix) {
				t.Fatalf("%q is taken", name)
			}
		}
		req, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		// Not the client's own defaults.
		req.Header["User-Agent"], req.Header["Accept-Encoding"] = []string{"x"}, []string{"identity"}
		req.Header[name] = []string{value}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatalf("%q: %q cannot be sent: %v", name, value, err)
		}
		_ = resp.Body.Close()
		key := http.CanonicalHeaderKey(name)
		if v := got[key]; len(v) == 0 || v[len(v)-1] != value && len(v) == 1 {
			t.Fatalf("%q: %q arrived as %q", name, value, v)
		}
		for n := range got {
			switch n {
			case key, "User-Agent", "Accept-Encoding", "Content-Length":
			default:
				t.Fatalf("%q: %q brought %q", name, value, n)
			}
		}
	})
}
