package trigger

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// member of the CDR, in its order.
type member struct {
	name  string
	value json.RawMessage
}

// Document is a CDR in the making: an object whose members keep their order.
type Document struct {
	eventType string
	members   []member
}

// Read takes a CDR of an event type from JSON text.
func Read(eventType string, text []byte) (*Document, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("reading the CDR: not a JSON object")
	}
	doc := &Document{eventType: eventType}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("reading the CDR: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("reading the CDR: %w", err)
		}
		doc.put(name.(string), value)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("reading the CDR: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("reading the CDR: something follows the object")
	}
	return doc, nil
}

// Renew gives the document ids of its own and lets the call end now, as long as
// it lasted in the sample.
func (d *Document) Renew(now time.Time, random io.Reader) error {
	for _, name := range []string{"CallId", "ScenarioId"} {
		if !d.has(name) {
			continue
		}
		b := make([]byte, 10)
		if _, err := io.ReadFull(random, b); err != nil {
			return fmt.Errorf("making an id: %w", err)
		}
		d.putText(name, "sample-"+strings.ToLower(base32.StdEncoding.EncodeToString(b)))
	}
	const layout = "2006-01-02T15:04:05.000Z07:00"
	start, okStart := d.time("StartDateTime")
	end, okEnd := d.time("EndDateTime")
	now = now.UTC()
	if okEnd {
		d.putText("EndDateTime", now.Format(layout))
		if okStart {
			d.putText("StartDateTime", now.Add(start.Sub(end)).Format(layout))
		}
	}
	if _, ok := d.time("SentAtUtc"); ok {
		d.putText("SentAtUtc", now.Format(layout))
	}
	return nil
}

// Set applies one edit, NAME=VALUE. VALUE is taken as JSON where it is JSON of a
// type that the property's schema has, else as text: CallLength=42 is a number,
// CallerName=42 a string. Properties that no schema knows take any JSON.
func (d *Document) Set(edit string) error {
	name, text, ok := strings.Cut(edit, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=VALUE", edit)
	}
	value := json.RawMessage(text)
	if !json.Valid(value) || !d.accepts(name, value) {
		d.putText(name, text)
		return nil
	}
	d.put(name, value)
	return nil
}

// Unset takes a property out.
func (d *Document) Unset(name string) error {
	if !d.has(name) {
		return fmt.Errorf("there is no %s in the CDR", name)
	}
	d.members = slices.DeleteFunc(d.members, func(m member) bool { return m.name == name })
	return nil
}

// accepts says whether the schema of the property has the type of value.
func (d *Document) accepts(name string, value json.RawMessage) bool {
	for _, p := range cdrschema.Properties(d.eventType) {
		if p.Name != name {
			continue
		}
		has := func(t string) bool { return slices.Contains(p.Types, t) }
		switch bytes.TrimSpace(value)[0] {
		case '"':
			return has("string")
		case 'n':
			return has("null")
		case 't', 'f':
			return has("boolean")
		case '[':
			return has("array")
		case '{':
			return has("object")
		default:
			return has("number") || has("integer") && !bytes.ContainsAny(value, ".eE")
		}
	}
	return true
}

func (d *Document) has(name string) bool {
	return slices.ContainsFunc(d.members, func(m member) bool { return m.name == name })
}

func (d *Document) put(name string, value json.RawMessage) {
	for i := range d.members {
		if d.members[i].name == name {
			d.members[i].value = value
			return
		}
	}
	d.members = append(d.members, member{name, value})
}

func (d *Document) putText(name, text string) { d.put(name, quote(text)) }

func quote(text string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string always encodes
	return bytes.TrimSpace(b.Bytes())
}

func (d *Document) time(name string) (time.Time, bool) {
	for _, m := range d.members {
		if m.name == name {
			var text string
			if json.Unmarshal(m.value, &text) != nil {
				return time.Time{}, false
			}
			t, err := time.Parse(time.RFC3339, text)
			return t, err == nil
		}
	}
	return time.Time{}, false
}

// JSON is the CDR on one line.
func (d *Document) JSON() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range d.members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(m.name))
		b.WriteByte(':')
		if err := json.Compact(&b, m.value); err != nil {
			b.Write(m.value) // as it was accepted
		}
	}
	b.WriteByte('}')
	return b.Bytes()
}

// Type is the event type that a user's word means: App.QueueWebhook or queue.
func Type(word string) (string, error) {
	for _, t := range cdrschema.Types() {
		short := strings.TrimSuffix(strings.TrimPrefix(t, "App."), "Webhook")
		if strings.EqualFold(word, t) || strings.EqualFold(word, short) {
			return t, nil
		}
	}
	return "", fmt.Errorf("there is no event type %q; there are %s", word, strings.Join(cdrschema.Types(), ", "))
}
