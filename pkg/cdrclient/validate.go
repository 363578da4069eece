package cdrclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Limits that the router enforces.
const (
	// MaxBytes is the largest value of a record, unless the deployment has
	// raised its cap (and Config.MaxBytes with it).
	MaxBytes = 1 << 20
	// MaxCallID is the longest CallId, in characters.
	MaxCallID = 256
	// MaxHeader is the longest id, source or tenant, in characters.
	MaxHeader = 256
)

// InvalidError says why a CDR would be rejected. It repeats no value.
type InvalidError struct {
	// Code is that of the router's rejection: too_large, not_utf8, not_json,
	// not_object, call_id_missing, call_id_invalid, header_invalid, or
	// type_unknown where the client has no topic for the event type.
	Code string
	// Field is a JSON pointer or the name of a header, empty for the whole.
	Field string
	// Reason in words.
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Field == "" {
		return e.Code + ": " + e.Reason
	}
	return e.Code + " (" + e.Field + "): " + e.Reason
}

// Validate says, as an *InvalidError, why the router would reject a value of an
// event type, and nil when it would take it.
func Validate(eventType string, value []byte) error {
	_, err := inspect(eventType, value, MaxBytes)
	return err
}

// inspected is what Send needs to know of a value.
type inspected struct {
	callID string
	end    string // EndDateTime, where it is a string
}

func inspect(eventType string, value []byte, maxBytes int) (inspected, error) {
	var found inspected
	invalid := func(code, field, format string, args ...any) (inspected, error) {
		return found, &InvalidError{code, field, fmt.Sprintf(format, args...)}
	}
	switch {
	case len(value) > maxBytes:
		return invalid("too_large", "", "the value has %d bytes, the cap is %d", len(value), maxBytes)
	case !utf8.Valid(value):
		return invalid("not_utf8", "", "the value is not UTF-8")
	case bytes.HasPrefix(value, []byte("\xef\xbb\xbf")):
		return invalid("not_json", "", "a byte order mark stands before the JSON text; send it without")
	case !json.Valid(value):
		return invalid("not_json", "", "the value is no JSON text, or nested deeper than 10000 levels")
	case bytes.TrimLeft(value, " \t\r\n")[0] != '{':
		return invalid("not_object", "", "the value is JSON, but not an object")
	}
	// A map, because a struct would take names in any case. Of a name that stands
	// twice the last one counts, as it does for the router.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil {
		return invalid("not_json", "", "the value is no JSON object")
	}
	_ = json.Unmarshal(members["EndDateTime"], &found.end) // any other type: no time
	id, there := members["CallId"]
	text, what := callID(id)
	switch {
	case what == "":
		found.callID = text
	case eventType == typeTest: // needs none
	case !there:
		return invalid("call_id_missing", "/CallId", "there is no CallId")
	default:
		return invalid("call_id_invalid", "/CallId", "CallId %s; a string of 1 to %d characters or an integer is needed", what, MaxCallID)
	}
	return found, nil
}

// callID is the text of a CallId, or what is wrong with it.
func callID(raw json.RawMessage) (text, what string) {
	switch {
	case len(raw) == 0:
		return "", "is missing"
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", "cannot be read"
		}
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		if bytes.ContainsAny(raw, ".eE") {
			return "", "is a number with fraction or exponent"
		}
		text = string(raw)
	default:
		return "", "is neither a string nor an integer"
	}
	switch {
	case text == "":
		return "", "is empty"
	case utf8.RuneCountInString(text) > MaxCallID:
		return "", "is too long"
	}
	return text, ""
}

// checkHeader says what keeps a text out of a record's header.
func checkHeader(name, text string) error {
	what := ""
	switch {
	case !utf8.ValidString(text):
		what = "is not UTF-8"
	case utf8.RuneCountInString(text) > MaxHeader:
		what = fmt.Sprintf("is longer than %d characters", MaxHeader)
	}
	for _, c := range []byte(text) {
		if c < 0x20 || c == 0x7f {
			what = "holds a control character"
		}
	}
	if what != "" {
		return &InvalidError{"header_invalid", name, "the header " + what}
	}
	return nil
}
