package cdrclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// ID is an internal or external identifier. It is sent as a string; when read, an
// integer is taken by its text.
type ID string

// UnmarshalJSON takes a string, an integer or null.
func (id *ID) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(id))
	}
	var n json.Number
	if err := json.Unmarshal(text, &n); err != nil {
		return errors.New("an id is a string or an integer")
	}
	*id = ID(n)
	return nil
}

// DateTime is a date and time as text; no format is prescribed. At makes one.
type DateTime string

// At is t in RFC 3339, UTC, with milliseconds: 2026-03-02T10:15:04.875Z.
func At(t time.Time) DateTime {
	return DateTime(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// Flag is "True" or "False" on the wire.
type Flag string

// The two flags. The zero Flag is left out.
const (
	True  Flag = "True"
	False Flag = "False"
)

// FlagOf is the Flag of b.
func FlagOf(b bool) Flag {
	if b {
		return True
	}
	return False
}

// UnmarshalJSON takes a string, a boolean or null.
func (f *Flag) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "null":
	case "true":
		*f = True
	case "false":
		*f = False
	default:
		return json.Unmarshal(text, (*string)(f))
	}
	return nil
}

// Value is a number, a text or a boolean, where the wire allows each: durations,
// scores, what a caller entered. The zero Value is left out.
type Value struct {
	json string
}

// Number is a Value; NaN and the infinities are no JSON and give the zero Value.
func Number[N ~int | ~int32 | ~int64 | ~float64](n N) Value {
	text, err := json.Marshal(n)
	if err != nil {
		return Value{}
	}
	return Value{string(text)}
}

// Text is a Value.
func Text(s string) Value {
	text, _ := json.Marshal(s) // a string always marshals
	return Value{string(text)}
}

// Bool is a Value.
func Bool(b bool) Value { return Value{strconv.FormatBool(b)} }

// Seconds is a Value: d in seconds, rounded to milliseconds.
func Seconds(d time.Duration) Value { return Number(float64(d.Milliseconds()) / 1000) }

// MarshalJSON writes what the Value was made from.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.json == "" {
		return []byte("null"), nil
	}
	return []byte(v.json), nil
}

// UnmarshalJSON takes a number, a string, a boolean or null.
func (v *Value) UnmarshalJSON(text []byte) error {
	switch {
	case string(text) == "null":
		v.json = ""
	case text[0] == '{', text[0] == '[':
		return errors.New("a value is a number, a string or a boolean")
	default:
		v.json = string(text)
	}
	return nil
}

// String is the text of the Value.
func (v Value) String() string {
	var s string
	if json.Unmarshal([]byte(v.json), &s) == nil {
		return s
	}
	return v.json
}
