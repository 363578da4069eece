package subscription

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aftercall/aftercall/pkg/filter"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// URLRules is what a deployment allows as an endpoint.
type URLRules = webhook.URLRules

// Limits in characters.
const (
	MaxName        = 128
	MaxDescription = 1024
	MaxOUScope     = 1024
)

// Codes of FieldError beside those of the webhook package (headers, endpoint).
// They are part of the API and never change.
const (
	CodeRequired         = "required"
	CodeTooLong          = "too_long"
	CodeInvalidText      = "invalid_text"
	CodeOutOfRange       = "out_of_range"
	CodeUnknownEventType = "unknown_event_type"
	CodeUnknownFormat    = "unknown_format"
	CodeUnknownSchedule  = "unknown_schedule"
	CodeDuplicate        = "duplicate"
	CodeInvalidFilter    = "invalid_filter"
	CodeInvalidSecret    = "invalid_secret"
)

// FieldError says what is wrong with one field.
type FieldError struct {
	// Pointer is a JSON pointer into the subscription as the API shows it, such
	// as /headers/0/value.
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	// Message is for people, and never repeats a secret.
	Message string `json:"message"`
	// Line and Column are where in the text of a filter the fault is, from 1; 0
	// everywhere else.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

func (e FieldError) Error() string { return e.Pointer + ": " + e.Message }

// EventTypes that a subscription can name.
var EventTypes = topic.Types

// SetDefaults fills in the delivery settings that are not set.
func (s *Subscription) SetDefaults() {
	if s.Tenant == "" {
		s.Tenant = DefaultTenant
	}
	if s.Format == "" {
		s.Format = FormatCDR
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.MaxConcurrency == 0 {
		s.MaxConcurrency = DefaultMaxConcurrency
	}
	if s.Schedule == "" {
		s.Schedule = DefaultSchedule
	}
}

// Validate returns everything that is wrong with a subscription that is about to
// be saved, with its defaults set (SetDefaults) and the values of new secret
// headers still plain; one that is sealed already is not looked at. An endpoint
// that passes is put into its normal form. Whether its address may be connected
// to is not decided here.
func Validate(s *Subscription, rules URLRules) []FieldError {
	v := &validation{}
	v.text("/name", s.Name, MaxName, false)
	v.name(s.Name)
	v.endpoint(s, rules)
	v.events(s.Events)
	v.headers(s.Headers)
	v.text("/ou_scope", s.OUScope, MaxOUScope, false)
	if s.OUScope != "" && strings.Trim(s.OUScope, `/\ `) == "" {
		v.add("/ou_scope", CodeInvalidText, "The OU scope names no unit: leave it empty for every record, or write it like Root/Sales.")
	}
	v.text("/description", s.Description, MaxDescription, true)
	v.delivery(s)
	return v.wrong
}

type validation struct{ wrong []FieldError }

func (v *validation) add(pointer, code, format string, args ...any) {
	v.wrong = append(v.wrong, FieldError{Pointer: pointer, Code: code, Message: fmt.Sprintf(format, args...)})
}

func (v *validation) text(pointer, s string, limit int, lines bool) {
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s):
		v.add(pointer, CodeInvalidText, "This is not valid UTF-8.")
	case n > limit:
		v.add(pointer, CodeTooLong, "This has %d characters; %d are allowed.", n, limit)
	case strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) && !(lines && (c == '\n' || c == '\r' || c == '\t'))
	}):
		v.add(pointer, CodeInvalidText, "This contains a control character: remove it.")
	}
}

// name refuses what leaves a row without a name to see, or turns the text around it.
func (v *validation) name(s string) {
	switch {
	case strings.ContainsFunc(s, func(c rune) bool { return unicode.Is(unicode.Bidi_Control, c) }):
		v.add("/name", CodeInvalidText, "This contains an invisible character that changes the direction of text: remove it.")
	case s != "" && !strings.ContainsFunc(s, visible):
		v.add("/name", CodeInvalidText, "This has no visible character.")
	}
}

func visible(c rune) bool {
	return unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) && c != '\u2800'
}

func (v *validation) endpoint(s *Subscription, rules URLRules) {
	u, err := webhook.CheckURL(s.Endpoint, rules)
	if err != nil {
		code := webhook.CodeURLInvalid
		var refused *webhook.URLError
		if errors.As(err, &refused) {
			code = refused.Code
		}
		v.add("/endpoint", code, "%s", err)
		return
	}
	s.Endpoint = u.String()
}

func (v *validation) events(events []string) {
	if len(events) == 0 {
		v.add("/events", CodeRequired, "Choose at least one event type: %s.", strings.Join(EventTypes, ", "))
	}
	// Ten faults say as much as ten thousand.
	const enough = 10
	for i, e := range events {
		if len(v.wrong) > enough {
			return
		}
		pointer := fmt.Sprintf("/events/%d", i)
		switch {
		case slices.Contains(events[:min(i, len(EventTypes))], e):
			v.add(pointer, CodeDuplicate, "%s is there twice: remove one.", e)
		case slices.Contains(EventTypes, e):
		default:
			v.add(pointer, CodeUnknownEventType, "%.64q is not an event type. Event types are %s.", e, strings.Join(EventTypes, ", "))
		}
	}
}

func (v *validation) headers(headers []Header) {
	list := make([]webhook.Header, len(headers))
	for i, h := range headers {
		list[i] = webhook.Header{Name: h.Name, Value: h.Value, Secret: h.Secret}
		if h.Secret && h.Value == "" && len(h.Sealed) == 0 && len(headers) <= webhook.MaxHeaders {
			v.add(fmt.Sprintf("/headers/%d/value", i), CodeRequired, "The value of this header is missing.")
		}
	}
	for _, e := range webhook.CheckHeaders(list) {
		pointer := "/headers"
		if e.Index >= 0 {
			pointer = fmt.Sprintf("/headers/%d/%s", e.Index, e.Part)
		}
		v.add(pointer, e.Code, "%s", e.Message)
	}
}

func (v *validation) delivery(s *Subscription) {
	if !slices.Contains(webhook.Formats(), s.Format) {
		v.add("/format", CodeUnknownFormat, "%.64q is not a payload format: use %s.", s.Format, choice(webhook.Formats()))
	}
	v.filter(s.Filter)
	if s.Timeout < MinTimeout || s.Timeout > MaxTimeout {
		v.add("/timeout", CodeOutOfRange, "The time-out is between %s and %s.", MinTimeout, MaxTimeout)
	}
	if s.MaxConcurrency < 1 || s.MaxConcurrency > MaxMaxConcurrency {
		v.add("/max_concurrency", CodeOutOfRange, "The number of concurrent requests is between 1 and %d.", MaxMaxConcurrency)
	}
	// Written so that NaN is refused too.
	if !(s.RateLimit >= 0 && s.RateLimit <= MaxRateLimit) {
		v.add("/rate_limit", CodeOutOfRange, "The rate limit is a number of deliveries a second, up to %d; 0 for none.", MaxRateLimit)
	}
	if y := s.PausedUntil.Year(); !s.PausedUntil.IsZero() && (y < 1970 || y > 9999) {
		v.add("/paused_until", CodeOutOfRange, "The end of a pause is a time between the years 1970 and 9999.")
	}
	if _, ok := webhook.ScheduleByName(s.Schedule); !ok {
		v.add("/schedule", CodeUnknownSchedule, "%.64q is not a schedule: use once, 1h or 72h.", s.Schedule)
	}
}

func (v *validation) filter(text string) {
	if text == "" {
		return
	}
	_, err := filter.Compile(text)
	var at *filter.Error
	if !errors.As(err, &at) {
		return
	}
	v.add("/filter", CodeInvalidFilter, "%s", at)
	last := &v.wrong[len(v.wrong)-1]
	last.Line, last.Column = at.Line, at.Column
}

// CheckSecrets returns what is wrong with secrets that are brought along, before
// they are sealed; an empty one is not looked at. The messages never repeat them.
func CheckSecrets(signing, abp string) []FieldError {
	v := &validation{}
	if signing != "" {
		if _, err := webhook.ParseSecret(signing); err != nil {
			v.add("/signing_secret", CodeInvalidSecret, "This is no signing secret: %s.", because(err))
		}
	}
	if abp != "" {
		if err := webhook.CheckAbpSecret(abp); err != nil {
			v.add("/abp_secret", CodeInvalidSecret, "This is no secret of the abp format: %s.", because(err))
		}
	}
	return v.wrong
}

func because(err error) string {
	return strings.TrimPrefix(err.Error(), webhook.ErrSecret.Error()+": ")
}

// choice lists words: a, b or c.
func choice(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
