package cdr

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aftercall/aftercall/pkg/topic"
)

// FuzzDecode holds the decoder against encoding/json: both read the same texts,
// and the same CallId in them.
func FuzzDecode(f *testing.F) {
	for _, c := range sharedCases(f) {
		if v := c.bytes(f); len(v) < 4096 {
			f.Add(v)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		before := bytes.Clone(value)
		got, err := Decode(inputOf(topic.TypeQueue, value))
		if !bytes.Equal(before, value) {
			t.Fatal("the value was changed")
		}
		code := ""
		if err != nil {
			rejected, ok := errors.AsType[*Rejected](err)
			if !ok || rejected.Reason == "" {
				t.Fatalf("the error is %#v", err)
			}
			code = rejected.Code
		}
		switch valid := json.Valid(value); {
		case !utf8.Valid(value):
			if code != CodeNotUTF8 {
				t.Fatalf("not UTF-8, got %q", code)
			}
			return
		case !valid:
			if code != CodeNotJSON {
				t.Fatalf("not JSON, got %q", code)
			}
			return
		case code == CodeNotJSON || code == CodeNotUTF8:
			t.Fatalf("JSON refused: %v", err)
		}
		// A map, because a struct would match names in any case.
		var members map[string]json.RawMessage
		if json.Unmarshal(value, &members) != nil || members == nil {
			if code != CodeNotObject {
				t.Fatalf("no object, got %q", code)
			}
			return
		}
		raw, there := members["CallId"]
		if (code == CodeCallIDMissing) == there {
			t.Fatalf("CallId there: %t, got %q", there, code)
		}
		if err != nil {
			return
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if text = string(bytes.ReplaceAll([]byte(text), []byte{0}, []byte("\uFFFD"))); text != got.CallID {
			t.Fatalf("CallID %q, encoding/json reads %q", got.CallID, text)
		}
		for _, s := range append(got.Warnings, got.CallID, got.ScenarioID, got.ParentID, got.OUPath) {
			if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
				t.Fatalf("%q is no text that a store can hold", s)
			}
		}
	})
}
