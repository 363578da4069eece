// Package mask hides what a CDR says about people: the values of the properties
// that the schemas mark as personal data, at any depth and in any event type.
package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// Word stands in the place of a masked value. Null, false and "" say nothing
// about anybody and stay.
const Word = "•••"

const deepest = 64

// ErrTooDeep says that a payload is nested too deeply to be shown.
var ErrTooDeep = errors.New("nested too deeply to be shown")

// Payload is a CDR, indented and in its own order, with personal data masked. It
// answers whether anything was.
func Payload(payload []byte) (text []byte, masked bool, err error) {
	w := writer{decoder: json.NewDecoder(bytes.NewReader(payload)), mask: true}
	w.decoder.UseNumber()
	if err := w.value(0, false); err != nil {
		return nil, false, err
	}
	return w.out.Bytes(), w.masked, nil
}

// Indent is a CDR, indented and in its own order, with all it says.
func Indent(payload []byte) ([]byte, error) {
	w := writer{decoder: json.NewDecoder(bytes.NewReader(payload))}
	w.decoder.UseNumber()
	if err := w.value(0, false); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

type writer struct {
	decoder *json.Decoder
	out     bytes.Buffer
	mask    bool
	masked  bool
}

// value copies the next value. hide masks every leaf in it.
func (w *writer) value(depth int, hide bool) error {
	if depth > deepest {
		return ErrTooDeep
	}
	t, err := w.decoder.Token()
	if err != nil {
		return err
	}
	d, ok := t.(json.Delim)
	if !ok {
		if hide && t != nil && t != "" && t != false {
			w.masked = true
			t = Word
		}
		return w.leaf(t)
	}
	open, end := byte('{'), byte('}')
	if d == '[' {
		open, end = '[', ']'
	}
	w.out.WriteByte(open)
	empty := true
	for w.decoder.More() {
		if !empty {
			w.out.WriteByte(',')
		}
		empty = false
		w.line(depth + 1)
		inside := hide
		if open == '{' {
			name, err := w.decoder.Token()
			if err != nil {
				return err
			}
			if err := w.leaf(name); err != nil {
				return err
			}
			w.out.WriteString(": ")
			if text, ok := name.(string); ok && w.mask && cdrschema.Personal(text) {
				inside = true
			}
		}
		if err := w.value(depth+1, inside); err != nil {
			return err
		}
	}
	if _, err := w.decoder.Token(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !empty {
		w.line(depth)
	}
	w.out.WriteByte(end)
	return nil
}

func (w *writer) leaf(v any) error {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	w.out.Truncate(w.out.Len() - 1) // the line break
	return nil
}

func (w *writer) line(depth int) {
	w.out.WriteByte('\n')
	w.out.WriteString(strings.Repeat("  ", depth))
}
