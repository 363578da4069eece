package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Payload formats.
const (
	// FormatCDR is the CDR itself.
	FormatCDR = "cdr"
	// FormatStandard is the envelope that Standard Webhooks 1.0.0 recommends.
	FormatStandard = "standard"
	// FormatCloudEvents is CloudEvents 1.0.2, structured mode, JSON.
	FormatCloudEvents = "cloudevents"
	// FormatAbp is what ASP.NET Boilerplate (ASP.NET Zero) posts.
	FormatAbp = "abp"
)

// Formats are all payload formats, the default one first.
func Formats() []string {
	return []string{FormatCDR, FormatStandard, FormatCloudEvents, FormatAbp}
}

// ErrFormat says that there is no such payload format.
var ErrFormat = errors.New("unknown payload format")

// Media types of bodies.
const (
	contentTypeJSON        = "application/json"
	contentTypeCloudEvents = "application/cloudevents+json"
)

// DefaultSource is the CloudEvents source of records whose producer names none.
const DefaultSource = "aftercall"

// bodyTime is how times stand in a body: RFC 3339, UTC, milliseconds.
const bodyTime = "2006-01-02T15:04:05.000Z"

// Content is what a body is made of. Nothing in it but Attempt changes from one
// attempt of a delivery to the next.
type Content struct {
	// ID is the webhook-id.
	ID string
	// Type is the event type.
	Type string
	// Source is the ce_source of the producer, or empty.
	Source string
	// CallID is empty where the record has none.
	CallID     string
	OccurredAt time.Time
	// Attempt counts from 1. It stands in FormatAbp only.
	Attempt int
	// Payload is the CDR: one JSON value. It is embedded byte for byte.
	Payload []byte
}

// Body is what is posted: the content in a subscription's format, and its media
// type. In FormatCDR it is the payload itself, not a copy. In FormatCDR,
// FormatStandard and FormatCloudEvents the body is the same on every attempt; in
// FormatAbp it differs by its Attempt. The error is ErrFormat.
func Body(format string, c Content) (body []byte, contentType string, err error) {
	switch format {
	case FormatCDR, "":
		return c.Payload, contentTypeJSON, nil
	case FormatStandard:
		var o object
		o.text("type", c.Type)
		o.text("timestamp", c.OccurredAt.UTC().Format(bodyTime))
		o.raw("data", c.Payload)
		return o.end(), contentTypeJSON, nil
	case FormatCloudEvents:
		return cloudEvent(c), contentTypeCloudEvents, nil
	case FormatAbp:
		// The order of Abp.Webhooks.WebhookPayload's serialization. Receivers
		// should not depend on it, and some read bodies with regular expressions.
		var o object
		o.text("Id", c.ID)
		o.text("WebhookEvent", c.Type)
		o.raw("Attempt", strconv.AppendInt(nil, int64(c.Attempt), 10))
		o.raw("Data", c.Payload)
		o.text("CreationTimeUtc", c.OccurredAt.UTC().Format(bodyTime))
		return o.end(), contentTypeJSON, nil
	}
	return nil, "", fmt.Errorf("%w %.64q", ErrFormat, format)
}

// cloudEvent is a CloudEvent in structured mode. What an attribute may not hold
// by the specification (an empty text, control characters; a source that is no
// URI reference) is left out or escaped: the CDR in data has the original.
func cloudEvent(c Content) []byte {
	var o object
	o.text("specversion", "1.0")
	o.text("id", c.ID)
	o.text("source", uriReference(c.Source))
	o.text("type", c.Type)
	if c.CallID != "" && !strings.ContainsFunc(c.CallID, unicode.IsControl) {
		o.text("subject", c.CallID)
	}
	o.text("time", c.OccurredAt.UTC().Format(bodyTime))
	o.text("datacontenttype", contentTypeJSON)
	o.raw("data", c.Payload)
	return o.end()
}

// uriReference makes a URI reference (RFC 3986 section 4.1) of a producer's name.
func uriReference(source string) string {
	if source == "" {
		return DefaultSource
	}
	var out strings.Builder
	for i := range len(source) {
		b := source[i]
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', strings.IndexByte("-._~:/?#@!$&'()*+,;=", b) >= 0:
			out.WriteByte(b)
		case b == '%' && i+2 < len(source) && isHex(source[i+1]) && isHex(source[i+2]):
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	if _, err := url.Parse(out.String()); err != nil {
		return url.QueryEscape(source)
	}
	return out.String()
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// object writes a JSON object member by member, in the order of the calls.
type object struct{ buf bytes.Buffer }

func (o *object) name(name string) {
	if o.buf.Len() == 0 {
		o.buf.WriteByte('{')
	} else {
		o.buf.WriteByte(',')
	}
	o.buf.WriteByte('"')
	o.buf.WriteString(name)
	o.buf.WriteString(`":`)
}

// raw is a member whose value is JSON already.
func (o *object) raw(name string, value []byte) {
	o.buf.Grow(len(name) + len(value) + 128)
	o.name(name)
	o.buf.Write(value)
}

func (o *object) text(name, value string) {
	o.name(name)
	e := json.NewEncoder(&o.buf)
	e.SetEscapeHTML(false)
	// A string always encodes, and a bytes.Buffer takes it.
	_ = e.Encode(value)
	o.buf.Truncate(o.buf.Len() - 1) // the encoder's line break
}

func (o *object) end() []byte {
	o.buf.WriteByte('}')
	return o.buf.Bytes()
}
