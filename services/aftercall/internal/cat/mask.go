package cat

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

const (
	masked = `"***"`
	sealed = `"[sealed]"`
)

// editor says what becomes of the value of a member: nil descends into it.
type editor func(name string) func(json.RawMessage) json.RawMessage

// rewrite copies a JSON text without white space and edits members at any depth.
// Order, numbers and unknown members stay as they are.
func rewrite(text []byte, edit editor) (json.RawMessage, error) {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var out bytes.Buffer
	type level struct {
		object, named bool
		n             int
	}
	var levels []level
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) && len(levels) == 0 && out.Len() > 0 {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading JSON: %w", err)
		}
		if len(levels) == 0 && out.Len() > 0 {
			return nil, errors.New("reading JSON: more than one text")
		}
		var top *level
		if len(levels) > 0 {
			top = &levels[len(levels)-1]
		}
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			out.WriteByte(byte(d))
			levels = levels[:len(levels)-1]
			continue
		}
		if top != nil && (!top.object || !top.named) {
			if top.n > 0 {
				out.WriteByte(',')
			}
			top.n++
		}
		if top != nil && top.object && !top.named {
			name := token.(string)
			writeScalar(&out, name)
			out.WriteByte(':')
			replace := edit(name)
			if replace == nil {
				top.named = true
				continue
			}
			var value json.RawMessage
			if err := in.Decode(&value); err != nil {
				return nil, fmt.Errorf("reading JSON: %w", err)
			}
			out.Write(replace(value))
			continue
		}
		if top != nil {
			top.named = false
		}
		if d, ok := token.(json.Delim); ok {
			out.WriteByte(byte(d))
			levels = append(levels, level{object: d == '{'})
			continue
		}
		writeScalar(&out, token)
	}
}

func writeScalar(out *bytes.Buffer, v any) {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings, numbers, booleans and null always can be
	out.Truncate(out.Len() - 1)
}

func quoted(format string, args ...any) json.RawMessage {
	var out bytes.Buffer
	writeScalar(&out, fmt.Sprintf(format, args...))
	return out.Bytes()
}

// maskCDR masks what can hold data about a person.
func maskCDR(value []byte) json.RawMessage {
	text, err := rewrite(value, func(name string) func(json.RawMessage) json.RawMessage {
		if !cdrschema.Personal(name) {
			return nil
		}
		return func(v json.RawMessage) json.RawMessage {
			if string(v) == "null" || string(v) == `""` {
				return v
			}
			return json.RawMessage(masked)
		}
	})
	if err != nil || len(text) == 0 || text[0] != '{' {
		return quoted("[%d bytes, not a JSON object]", len(value))
	}
	return text
}

// maskInternal masks an internal message that protojson has written.
func maskInternal(text []byte) (json.RawMessage, error) {
	return rewrite(text, func(name string) func(json.RawMessage) json.RawMessage {
		switch {
		case name == "payload":
			return func(v json.RawMessage) json.RawMessage { return maskCDR(bytesOf(v)) }
		case name == "response_body":
			return func(v json.RawMessage) json.RawMessage { return quoted("[%d bytes]", len(bytesOf(v))) }
		case name == "response_headers":
			return maskCookies
		case name == "endpoint" || name == "request_url":
			return maskQuery
		case strings.HasPrefix(name, "sealed"):
			return func(json.RawMessage) json.RawMessage { return json.RawMessage(sealed) }
		}
		return nil
	})
}

// bytesOf undoes protojson's base64.
func bytesOf(v json.RawMessage) []byte {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// maskQuery leaves of a URL where it points, not what it carries.
func maskQuery(v json.RawMessage) json.RawMessage {
	var s string
	if json.Unmarshal(v, &s) != nil {
		return json.RawMessage(masked)
	}
	u, err := url.Parse(s)
	if err != nil {
		return json.RawMessage(masked)
	}
	if u.User != nil {
		u.User = url.User("***")
	}
	if u.RawQuery != "" {
		u.RawQuery = "***"
	}
	u.Fragment = ""
	return quoted("%s", u)
}

func maskCookies(v json.RawMessage) json.RawMessage {
	var headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if json.Unmarshal(v, &headers) != nil {
		return json.RawMessage(masked)
	}
	for i, h := range headers {
		if strings.EqualFold(h.Name, "Set-Cookie") {
			headers[i].Value = "***"
		}
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return json.RawMessage(masked)
	}
	return text
}
