package subscription

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
)

func valid() *Subscription {
	s := &Subscription{
		Endpoint: "https://example.com/hook", Active: true, Events: []string{topic.TypeQueue},
		Headers: []Header{{Name: "Authorization", Value: "Bearer t", Secret: true}, {Name: "X-Team", Value: "sales"}},
	}
	s.SetDefaults()
	return s
}

func TestTheReferencesFourPropertiesAreEnough(t *testing.T) {
	if wrong := Validate(valid(), URLRules{}); wrong != nil {
		t.Fatalf("%v", wrong)
	}
	s := &Subscription{Endpoint: "https://example.com/", Events: []string{topic.TypeTest}}
	s.SetDefaults()
	if wrong := Validate(s, URLRules{}); wrong != nil {
		t.Fatalf("%v", wrong)
	}
	if s.Schedule != "72h" || s.Timeout != 15*time.Second || s.MaxConcurrency != 8 || s.Format != "cdr" || s.Tenant != "default" {
		t.Errorf("defaults: %+v", s)
	}
}

func TestAWrongFieldIsNamedByItsPointerAndCode(t *testing.T) {
	many := func(n int) (out []Header) {
		for i := range n {
			out = append(out, Header{Name: fmt.Sprintf("x-%d", i), Value: "v"})
		}
		return out
	}
	for _, tc := range []struct {
		name          string
		change        func(*Subscription)
		pointer, code string
	}{
		{"no endpoint", func(s *Subscription) { s.Endpoint = "" }, "/endpoint", CodeRequired},
		{"http endpoint", func(s *Subscription) { s.Endpoint = "http://example.com" }, "/endpoint", webhook.CodeURLScheme},
		{"8 KiB endpoint", func(s *Subscription) { s.Endpoint = "https://example.com/" + strings.Repeat("a", 8<<10) }, "/endpoint", CodeTooLong},
		{"no events", func(s *Subscription) { s.Events = nil }, "/events", CodeRequired},
		{"unknown event", func(s *Subscription) { s.Events = []string{topic.TypeIvr, "App.Nothing"} }, "/events/1", CodeUnknownEventType},
		{"event twice", func(s *Subscription) { s.Events = []string{topic.TypeIvr, topic.TypeIvr} }, "/events/1", CodeDuplicate},
		{"no such system event", func(s *Subscription) { s.Events = []string{"Aftercall.EndpointWell"} }, "/events/0", CodeUnknownEventType},
		{"reserved header", func(s *Subscription) { s.Headers[1].Name = "Webhook-Id" }, "/headers/1/name", webhook.CodeHeaderReserved},
		{"header with a colon", func(s *Subscription) { s.Headers[1].Name = "X-Team:" }, "/headers/1/name", webhook.CodeHeaderName},
		{"value with CRLF", func(s *Subscription) { s.Headers[1].Value = "a\r\nX-Evil: 1" }, "/headers/1/value", webhook.CodeHeaderValue},
		{"header twice", func(s *Subscription) { s.Headers[1].Name = "AUTHORIZATION" }, "/headers/1/name", webhook.CodeHeaderDuplicate},
		{"100 headers", func(s *Subscription) { s.Headers = many(100) }, "/headers", webhook.CodeHeadersTooMany},
		{"secret header without a value", func(s *Subscription) { s.Headers[0].Value = "" }, "/headers/0/value", CodeRequired},
		{"long name", func(s *Subscription) { s.Name = strings.Repeat("ä", MaxName+1) }, "/name", CodeTooLong},
		{"name with a control character", func(s *Subscription) { s.Name = "a\x1b[31m" }, "/name", CodeInvalidText},
		{"name that is a zero-width space", func(s *Subscription) { s.Name = "\u200b" }, "/name", CodeInvalidText},
		{"name that is a filler", func(s *Subscription) { s.Name = "\u3164\u2800" }, "/name", CodeInvalidText},
		{"name that turns round", func(s *Subscription) { s.Name = "CRM \u202egpj" }, "/name", CodeInvalidText},
		{"name with an isolate", func(s *Subscription) { s.Name = "CRM \u2066x" }, "/name", CodeInvalidText},
		{"name in Latin-1", func(s *Subscription) { s.Name = "caf\xe9" }, "/name", CodeInvalidText},
		{"scope in Latin-1", func(s *Subscription) { s.OUScope = "caf\xe9" }, "/ou_scope", CodeInvalidText},
		{"scope without a unit", func(s *Subscription) { s.OUScope = "/" }, "/ou_scope", CodeInvalidText},
		{"long description", func(s *Subscription) { s.Description = strings.Repeat("a", MaxDescription+1) }, "/description", CodeTooLong},
		{"unknown format", func(s *Subscription) { s.Format = "xml" }, "/format", CodeUnknownFormat},
		{"filter that is no expression", func(s *Subscription) { s.Filter = "cdr.QueueName = 1" }, "/filter", CodeInvalidFilter},
		{"filter that is no condition", func(s *Subscription) { s.Filter = "cdr.QueueName" }, "/filter", CodeInvalidFilter},
		{"long filter", func(s *Subscription) { s.Filter = "true" + strings.Repeat(" ", 4<<10) }, "/filter", CodeInvalidFilter},
		{"high rate", func(s *Subscription) { s.RateLimit = MaxRateLimit + 1 }, "/rate_limit", CodeOutOfRange},
		{"endless rate", func(s *Subscription) { s.RateLimit = math.Inf(1) }, "/rate_limit", CodeOutOfRange},
		{"negative rate", func(s *Subscription) { s.RateLimit = -1 }, "/rate_limit", CodeOutOfRange},
		{"rate that is no number", func(s *Subscription) { s.RateLimit = math.NaN() }, "/rate_limit", CodeOutOfRange},
		{"pause until the year 10000", func(s *Subscription) { s.PausedUntil = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "/paused_until", CodeOutOfRange},
		{"short time-out", func(s *Subscription) { s.Timeout = time.Second - 1 }, "/timeout", CodeOutOfRange},
		{"long time-out", func(s *Subscription) { s.Timeout = 26 * time.Second }, "/timeout", CodeOutOfRange},
		{"negative concurrency", func(s *Subscription) { s.MaxConcurrency = -1 }, "/max_concurrency", CodeOutOfRange},
		{"huge concurrency", func(s *Subscription) { s.MaxConcurrency = 513 }, "/max_concurrency", CodeOutOfRange},
		{"unknown schedule", func(s *Subscription) { s.Schedule = "-1h" }, "/schedule", CodeUnknownSchedule},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := valid()
			tc.change(s)
			wrong := Validate(s, URLRules{})
			if len(wrong) != 1 || wrong[0].Pointer != tc.pointer || wrong[0].Code != tc.code || wrong[0].Message == "" {
				t.Fatalf("got %v, want %s %s", wrong, tc.pointer, tc.code)
			}
		})
	}
}

func TestFormatsFiltersRatesAndPausesAreAccepted(t *testing.T) {
	for _, change := range []func(*Subscription){
		func(s *Subscription) { s.Format = FormatStandard },
		func(s *Subscription) { s.Format = FormatCloudEvents },
		func(s *Subscription) { s.Format = FormatAbp },
		func(s *Subscription) { s.Filter = `cdr.QueueName == "Sales" && cdr.TalkTime > 60` },
		func(s *Subscription) { s.RateLimit = 0.1 },
		func(s *Subscription) { s.RateLimit = MaxRateLimit },
		func(s *Subscription) { s.PausedUntil = time.Now().Add(time.Hour) },
		func(s *Subscription) { s.PausedUntil = time.Now().Add(-time.Hour) },
	} {
		s := valid()
		change(s)
		if wrong := Validate(s, URLRules{}); wrong != nil {
			t.Errorf("%v", wrong)
		}
	}
}

func TestAFaultOfAFilterSaysWhere(t *testing.T) {
	s := valid()
	s.Filter = "cdr.TalkTime > 60 &&\n  QueueName == \"Sales\""
	wrong := Validate(s, URLRules{})
	if len(wrong) != 1 || wrong[0].Line != 2 || wrong[0].Column != 3 || !strings.Contains(wrong[0].Message, "line 2, column 3: QueueName is not known") {
		t.Errorf("%+v", wrong)
	}
}

func TestSecretsThatAreBroughtAlongAreChecked(t *testing.T) {
	const signing, abp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whs_0123456789abcdef0123456789abcdef"
	if wrong := CheckSecrets(signing, abp); wrong != nil {
		t.Errorf("%v", wrong)
	}
	if wrong := CheckSecrets("", ""); wrong != nil {
		t.Errorf("%v", wrong)
	}
	// The one in the place of the other.
	wrong := CheckSecrets(abp, signing)
	if len(wrong) != 2 || wrong[0].Pointer != "/signing_secret" || wrong[1].Pointer != "/abp_secret" {
		t.Fatalf("%v", wrong)
	}
	for _, w := range wrong {
		if w.Code != CodeInvalidSecret || strings.Contains(w.Message, "0123") || strings.Contains(w.Message, "MfKQ") {
			t.Errorf("%+v", w)
		}
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	s := &Subscription{Endpoint: "ftp://x", Events: []string{"nope"}, Headers: []Header{{Name: "Host", Value: "a\n"}}}
	s.SetDefaults()
	var pointers []string
	for _, w := range Validate(s, URLRules{}) {
		pointers = append(pointers, w.Pointer)
	}
	slices.Sort(pointers)
	if got := strings.Join(pointers, " "); got != "/endpoint /events/0 /headers/0/name /headers/0/value" {
		t.Errorf("got %s", got)
	}
}

func TestASealedHeaderIsLeftAlone(t *testing.T) {
	s := valid()
	s.Headers[0] = Header{Name: "Authorization", Secret: true, Sealed: []byte{1, 2, 3}}
	if wrong := Validate(s, URLRules{}); wrong != nil {
		t.Fatalf("%v", wrong)
	}
}

func TestAnAcceptedEndpointIsSavedInItsNormalForm(t *testing.T) {
	s := valid()
	s.Endpoint = "HTTPS://Bücher.Example:443/Pfad?q=1"
	if wrong := Validate(s, URLRules{}); wrong != nil {
		t.Fatalf("%v", wrong)
	}
	if s.Endpoint != "https://xn--bcher-kva.example/Pfad?q=1" {
		t.Errorf("saved as %s", s.Endpoint)
	}
}
