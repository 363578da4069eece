package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostile is a CDR that any decoding and encoding in between would change.
const hostile = ` {"CallId":"8f3c2a41", "CallerName":"Zo` + "\u00eb" + ` <b>&\u0000\ud83d\ude00","N":1e400,"I":12345678901234567890,"N":1.0,"TrasnferToId":null}` + "\n"

func content(payload string) Content {
	return Content{
		ID: "evt_ok", Type: "App.QueueWebhook", Source: "contoso/pbx", CallID: "8f3c2a41",
		OccurredAt: time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600)), Attempt: 2, Payload: []byte(payload),
	}
}

func bodyOf(t *testing.T, format string, c Content) string {
	t.Helper()
	body, _, err := Body(format, c)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(body) {
		t.Fatalf("not JSON: %s", body)
	}
	return string(body)
}

func TestABodyInEachFormat(t *testing.T) {
	for format, want := range map[string]struct{ body, contentType string }{
		"":                {hostile, "application/json"},
		FormatCDR:         {hostile, "application/json"},
		FormatStandard:    {`{"type":"App.QueueWebhook","timestamp":"2026-03-01T12:00:00.000Z","data":` + hostile + `}`, "application/json"},
		FormatCloudEvents: {`{"specversion":"1.0","id":"evt_ok","source":"contoso/pbx","type":"App.QueueWebhook","subject":"8f3c2a41","time":"2026-03-01T12:00:00.000Z","datacontenttype":"application/json","data":` + hostile + `}`, "application/cloudevents+json"},
		FormatAbp:         {`{"Id":"evt_ok","WebhookEvent":"App.QueueWebhook","Attempt":2,"Data":` + hostile + `,"CreationTimeUtc":"2026-03-01T12:00:00.000Z"}`, "application/json"},
	} {
		body, contentType, err := Body(format, content(hostile))
		if err != nil || string(body) != want.body || contentType != want.contentType {
			t.Errorf("%s: %v, %s\n got %s\nwant %s", format, err, contentType, body, want.body)
		}
	}
	for _, format := range []string{"xml", "CDR", strings.Repeat("x", 1<<20)} {
		if _, _, err := Body(format, content("{}")); !errors.Is(err, ErrFormat) || len(err.Error()) > 200 {
			t.Errorf("%.10s: %v", format, err)
		}
	}
}

func TestTheCDRFormatDoesNotCopyThePayload(t *testing.T) {
	c := content(hostile)
	body, _, err := Body(FormatCDR, c)
	if err != nil || &body[0] != &c.Payload[0] {
		t.Errorf("a copy: %v", err)
	}
}

func TestBodiesAreTheSameOnEveryAttemptButForAbpsNumber(t *testing.T) {
	first, second := content(hostile), content(hostile)
	first.Attempt = 1
	for _, format := range Formats() {
		same := bodyOf(t, format, first) == bodyOf(t, format, second)
		if same == (format == FormatAbp) {
			t.Errorf("%s: same is %v", format, same)
		}
	}
	abp := strings.Replace(bodyOf(t, FormatAbp, first), `"Attempt":1`, `"Attempt":2`, 1)
	if abp != bodyOf(t, FormatAbp, second) {
		t.Error("abp differs by more than its Attempt")
	}
}

// What CloudEvents 1.0.2 demands of attributes, whatever a producer calls itself.
func TestACloudEventKeepsToItsSpecification(t *testing.T) {
	for source, want := range map[string]string{
		"":                        "aftercall",
		"contoso/pbx":             "contoso/pbx",
		"https://pbx.example/a?b": "https://pbx.example/a?b",
		"urn:uuid:1":              "urn:uuid:1",
		"Zentrale Süd":            "Zentrale%20S%C3%BCd",
		"100%":                    "100%25",
		"a%20b":                   "a%20b",
		"1:2":                     "1%3A2",
		"[x":                      "%5Bx",
		"a\x00b\n":                "a%00b%0A",
		`a"b\c`:                   "a%22b%5Cc",
	} {
		c := content("{}")
		c.Source = source
		var event map[string]any
		if err := json.Unmarshal([]byte(bodyOf(t, FormatCloudEvents, c)), &event); err != nil {
			t.Fatal(err)
		}
		got, _ := event["source"].(string)
		if _, err := url.Parse(got); err != nil || got == "" {
			t.Errorf("source of %q is %q: %v", source, got, err)
		}
		if got != want {
			t.Errorf("source of %q is %q, want %q", source, got, want)
		}
		for _, name := range []string{"id", "type", "specversion", "time"} {
			if s, _ := event[name].(string); s == "" {
				t.Errorf("%s is %v", name, event[name])
			}
		}
		if _, err := time.Parse(time.RFC3339, event["time"].(string)); err != nil {
			t.Error(err)
		}
	}
	for callID, there := range map[string]bool{"": false, "8f3c": true, "a\nb": false, "日本": true} {
		c := content("{}")
		c.CallID = callID
		if got := strings.Contains(bodyOf(t, FormatCloudEvents, c), `"subject":`); got != there {
			t.Errorf("subject for %q: %v", callID, got)
		}
	}
}

func TestNothingInAnEnvelopeBreaksOutOfIt(t *testing.T) {
	c := Content{ID: `a"}`, Type: "b\\\"\n", Source: `","x":"`, CallID: "<script>\u2028", Payload: []byte("null")}
	for _, format := range Formats() {
		body := bodyOf(t, format, c)
		if strings.Contains(body, `"x":`) {
			t.Errorf("%s: %s", format, body)
		}
	}
}

const abpSecret = "whs_0123456789abcdef0123456789abcdef"

// Made with Python's hmac over the body of format abp.
const abpVector = "sha256=8B-0B-AB-38-CF-F9-99-1C-74-A1-65-63-C5-EA-4D-F8-22-D6-C1-27-7C-84-70-48-6C-F8-AA-E5-EC-30-5E-1A"

func TestAKnownSignatureOfAbp(t *testing.T) {
	body := bodyOf(t, FormatAbp, content(`{"CallId":"8f3c2a41","QueueName":"Zo`+"\u00eb"+`"}`))
	if got := SignAbp(abpSecret, []byte(body)); got != abpVector {
		t.Errorf("got  %s\nwant %s", got, abpVector)
	}
}

// The receiver's check as the documentation of ASP.NET Boilerplate gives it
// (IsSignatureCompatible), written here a second time and in another way than
// SignAbp: the header is split at its first "=", the hash is shown as .NET's
// BitConverter.ToString shows bytes, and texts are compared exactly.
func abpReceiverAccepts(secret, header, body string) bool {
	parts := strings.SplitN(header, "=", 2)
	if len(parts) != 2 || parts[0] != "sha256" {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body))
	pairs := make([]string, 0, 32)
	for _, b := range mac.Sum(nil) {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return strings.Join(pairs, "-") == parts[1]
}

func TestAReceiverOfASPNETBoilerplateAcceptsBodyAndSignature(t *testing.T) {
	for attempt := 1; attempt <= 13; attempt++ {
		c := content(hostile)
		c.Attempt = attempt
		body := bodyOf(t, FormatAbp, c)
		header := SignAbp(abpSecret, []byte(body))
		if !abpReceiverAccepts(abpSecret, header, body) {
			t.Errorf("refused: %s", header)
		}
		if abpReceiverAccepts(abpSecret+"0", header, body) || abpReceiverAccepts(abpSecret, header, body+" ") ||
			abpReceiverAccepts(strings.TrimPrefix(abpSecret, "whs_"), header, body) {
			t.Error("accepted under another secret, or altered")
		}
		if !regexp.MustCompile(`^sha256=([0-9A-F]{2}-){31}[0-9A-F]{2}$`).MatchString(header) {
			t.Errorf("not written as BitConverter does: %s", header)
		}
	}
	// Members in the order in which ASP.NET Boilerplate serializes them.
	tame := bodyOf(t, FormatAbp, content(`{"CallId":"1"}`))
	if !regexp.MustCompile(`^\{"Id":"[^"]+","WebhookEvent":"[^"]+","Attempt":\d+,"Data":\{.*\},"CreationTimeUtc":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}$`).MatchString(tame) {
		t.Errorf("order of members: %s", tame)
	}
}

// The same check by another language's library.
func TestPythonAcceptsBodyAndSignatureOfAbp(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	const check = `
import hashlib, hmac, json, sys
secret, header = sys.argv[1], sys.argv[2]
body = sys.stdin.buffer.read().decode("utf-8")
kind, _, received = header.partition("=")
assert kind == "sha256", kind
digest = hmac.new(secret.encode("utf-8"), body.encode("utf-8"), hashlib.sha256).hexdigest().upper()
assert "-".join(digest[i:i + 2] for i in range(0, 64, 2)) == received, received
document = json.loads(body)
assert list(document) == ["Id", "WebhookEvent", "Attempt", "Data", "CreationTimeUtc"], list(document)
assert document["Attempt"] == 2 and document["Data"]["CallId"] == "8f3c2a41"
`
	body := bodyOf(t, FormatAbp, content(hostile))
	cmd := exec.CommandContext(t.Context(), python, "-c", check, abpSecret, SignAbp(abpSecret, []byte(body)))
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestASecretOfAbp(t *testing.T) {
	made := NewAbpSecret(rand.Reader)
	if !regexp.MustCompile(`^whs_[0-9a-f]{32}$`).MatchString(made) || made == NewAbpSecret(rand.Reader) {
		t.Errorf("made %s", made)
	}
	for _, good := range []string{made, abpSecret, "whs_" + strings.Repeat("x", 16), "whs_" + strings.Repeat("~", 256)} {
		if err := CheckAbpSecret(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "whs_", "whs_short", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", strings.TrimPrefix(abpSecret, "whs_"), " " + abpSecret, abpSecret + "\n",
		"whs_" + strings.Repeat("x", 257), "whs_ä0123456789abcdef", "whs_0123456789 abcdef"} {
		err := CheckAbpSecret(bad)
		if !errors.Is(err, ErrSecret) || len(bad) > 4 && strings.Contains(err.Error(), strings.TrimPrefix(strings.TrimSpace(bad), "whs_")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTheAbpSignatureGoesWithTheOthers(t *testing.T) {
	m := Message{ID: "evt_ok", Time: time.Unix(1772366400, 0), Secrets: [][]byte{bytes.Repeat([]byte{1}, 24)}, AbpSecret: abpSecret, Body: []byte("{}")}
	var names []string
	for _, h := range m.Headers(nil) {
		names = append(names, h.Name)
		if h.Name == HeaderAbpSignature && VerifyAbp(abpSecret, h.Value, m.Body) != nil {
			t.Errorf("does not verify: %s", h.Value)
		}
	}
	if !slices.Contains(names, HeaderAbpSignature) || !slices.Contains(names, HeaderSignature) {
		t.Errorf("headers are %v", names)
	}
	if err := VerifyAbp(abpSecret, "", m.Body); !errors.Is(err, ErrUnsigned) {
		t.Error(err)
	}
	if err := VerifyAbp(abpSecret, strings.ToLower(SignAbp(abpSecret, m.Body)), m.Body); !errors.Is(err, ErrWrongSignature) {
		t.Error(err)
	}
}

func FuzzBodyIsJSONAroundTheRecord(f *testing.F) {
	f.Add("evt", "App.QueueWebhook", "src", "call", `{"a":1}`)
	f.Add("\xff", "\x00", "%zz", "\u2028", "null")
	f.Fuzz(func(t *testing.T, id, eventType, source, callID, payload string) {
		if !json.Valid([]byte(payload)) {
			return
		}
		for _, format := range Formats() {
			body := bodyOf(t, format, Content{ID: id, Type: eventType, Source: source, CallID: callID, Payload: []byte(payload)})
			if !strings.Contains(body, payload) {
				t.Fatalf("%s changed the record", format)
			}
		}
	})
}

func BenchmarkBody(b *testing.B) {
	c := content(`{"CallId":"8f3c2a41","Notes":"` + strings.Repeat("lorem ipsum ", 80) + `"}`)
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Body(format, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
