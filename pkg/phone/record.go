package phone

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

const deepest = 64

var errDeep = errors.New("nested too deeply")

// InRecord lists, in their normal forms, what could be a number in a record: what
// the properties say that the schemas mark as phone numbers, in any event type and
// at any depth, and all that InText finds in the others. What is no JSON, or goes on
// after it, is searched as text.
func InRecord(record []byte) []string {
	w := walk{decoder: json.NewDecoder(bytes.NewReader(record))}
	w.decoder.UseNumber()
	err := w.value(0, false)
	if _, more := w.decoder.Token(); err != nil || !errors.Is(more, io.EOF) {
		return append(w.out, InText(string(record))...)
	}
	return w.out
}

type walk struct {
	decoder *json.Decoder
	out     []string
}

func (w *walk) value(depth int, marked bool) error {
	if depth > deepest {
		return errDeep
	}
	t, err := w.decoder.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case string:
		w.leaf(t, marked)
		return nil
	case json.Number:
		w.leaf(t.String(), marked)
		return nil
	case json.Delim:
		for w.decoder.More() {
			inside := marked
			if t == '{' {
				name, err := w.decoder.Token()
				if err != nil {
					return err
				}
				text, _ := name.(string)
				inside = marked || markedNames()[text]
				w.out = append(w.out, InText(text)...)
			}
			if err := w.value(depth+1, inside); err != nil {
				return err
			}
		}
		_, err = w.decoder.Token()
		return err
	}
	return nil
}

func (w *walk) leaf(text string, marked bool) {
	if marked {
		if n, ok := Normal(text); ok {
			w.out = append(w.out, n)
		}
	}
	w.out = append(w.out, InText(text)...)
}

// markedNames are the properties that hold phone numbers, of all event types.
var markedNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, t := range cdrschema.Types() {
		for _, p := range cdrschema.Properties(t) {
			if p.PersonalData == "phone" {
				names[p.Name] = true
			}
			for _, item := range p.Items {
				if item.PersonalData == "phone" {
					names[item.Name] = true
				}
			}
		}
	}
	return names
})
