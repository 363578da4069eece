package webhook

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Header is one header of a request. The value of a Secret one is never shown.
type Header struct {
	Name   string
	Value  string
	Secret bool
}

// Limits of the Additional Webhook Headers.
const (
	MaxHeaders          = 32
	MaxHeaderNameBytes  = 256
	MaxHeaderValueBytes = 4 << 10
)

// Codes of HeaderError. They are part of the API and never change.
const (
	CodeHeaderName      = "invalid_header_name"
	CodeHeaderReserved  = "reserved_header"
	CodeHeaderValue     = "invalid_header_value"
	CodeHeaderDuplicate = "duplicate_header"
	CodeHeadersTooMany  = "too_many_headers"
)

// HeaderError says why an Additional Webhook Header is refused, and what to do.
type HeaderError struct {
	// Index in the list given to CheckHeaders; -1 when it is about the whole list.
	Index int
	// Part is "name", "value", or "" for the list.
	Part    string
	Code    string
	Message string
}

func (e *HeaderError) Error() string { return e.Message }

// reserved are the names that Aftercall or HTTP itself sets, with what to say to
// someone who tries. Kept in lower case.
var reserved = map[string]string{
	"host":              "it comes from the endpoint's URL: change the endpoint instead",
	"content-length":    "it comes from the body",
	"content-type":      "it comes from the payload format",
	"transfer-encoding": "it belongs to the connection, not to the request",
	"te":                "it belongs to the connection, not to the request",
	"connection":        "it belongs to the connection, not to the request",
	"keep-alive":        "it belongs to the connection, not to the request",
	"upgrade":           "it belongs to the connection, not to the request",
	"trailer":           "it belongs to the connection, not to the request",
	"expect":            "it belongs to the connection, not to the request",
	// Of the format that existing receivers of ASP.NET Zero webhooks know.
	HeaderAbpSignature: "Aftercall signs requests itself",
	// net/http silently repeats a POST that carries one of these two, and an
	// attempt that nobody recorded must not exist.
	"idempotency-key":   "receivers recognise repeats by webhook-id, which every request carries",
	"x-idempotency-key": "receivers recognise repeats by webhook-id, which every request carries",
}

var reservedPrefixes = []struct{ prefix, why string }{
	{"proxy-", "deliveries go through no proxy"},
	{"webhook-", "these names belong to Standard Webhooks; Aftercall sets them"},
	{"aftercall-", "these names are Aftercall's own"},
}

// CheckHeaderName tells whether a name may be an Additional Webhook Header. A
// non-nil error is a *HeaderError.
func CheckHeaderName(name string) error {
	switch {
	case name == "":
		return &HeaderError{Part: "name", Code: CodeHeaderName, Message: "The header has no name."}
	case len(name) > MaxHeaderNameBytes:
		return &HeaderError{Part: "name", Code: CodeHeaderName,
			Message: fmt.Sprintf("The header's name has %d characters; %d are allowed.", len(name), MaxHeaderNameBytes)}
	case !httpguts.ValidHeaderFieldName(name):
		return &HeaderError{Part: "name", Code: CodeHeaderName,
			Message: fmt.Sprintf("%q is not a header name: use letters, digits and - only, without spaces or a colon.", name)}
	}
	folded := lower(name)
	if why, ok := reserved[folded]; ok {
		return reservedError(name, why)
	}
	for _, r := range reservedPrefixes {
		if strings.HasPrefix(folded, r.prefix) {
			return reservedError(name, r.why)
		}
	}
	return nil
}

func reservedError(name, why string) *HeaderError {
	return &HeaderError{Part: "name", Code: CodeHeaderReserved,
		Message: fmt.Sprintf("%s cannot be set: %s. Remove it, or choose another name.", name, why)}
}

// CheckHeaderValue tells whether a value may be sent. The message never repeats
// it: it may be a secret.
func CheckHeaderValue(value string) error {
	bad := func(message string) error {
		return &HeaderError{Part: "value", Code: CodeHeaderValue, Message: message}
	}
	switch {
	case len(value) > MaxHeaderValueBytes:
		return bad(fmt.Sprintf("The value has %d bytes; %d are allowed.", len(value), MaxHeaderValueBytes))
	case strings.ContainsAny(value, "\r\n"):
		return bad("The value contains a line break: remove it (a pasted token often ends with one).")
	case strings.ContainsRune(value, 0):
		return bad("The value contains a NUL character: remove it.")
	case !httpguts.ValidHeaderFieldValue(value):
		return bad("The value contains a control character: remove it.")
	case value != strings.Trim(value, " \t"):
		return bad("The value starts or ends with a space, which HTTP would drop: remove it.")
	}
	return nil
}

// CheckHeaders checks a whole list of Additional Webhook Headers, and returns
// everything that is wrong with it: each name and value, no more than
// MaxHeaders, no name twice, letters' case aside.
func CheckHeaders(headers []Header) []*HeaderError {
	var wrong []*HeaderError
	if len(headers) > MaxHeaders {
		// One error, not a hundred.
		return []*HeaderError{{Index: -1, Code: CodeHeadersTooMany,
			Message: fmt.Sprintf("There are %d headers; %d are allowed.", len(headers), MaxHeaders)}}
	}
	seen := make(map[string]int, len(headers))
	for i, h := range headers {
		for _, err := range []error{CheckHeaderName(h.Name), CheckHeaderValue(h.Value)} {
			var e *HeaderError
			if errors.As(err, &e) {
				e.Index = i
				wrong = append(wrong, e)
			}
		}
		folded := lower(h.Name)
		if first, ok := seen[folded]; ok && h.Name != "" {
			wrong = append(wrong, &HeaderError{Index: i, Part: "name", Code: CodeHeaderDuplicate,
				Message: fmt.Sprintf("%s is there twice (see header %d): remove one.", h.Name, first+1)})
			continue
		}
		seen[folded] = i
	}
	return wrong
}

// Masked is what stands in the place of a secret value.
const Masked = "[masked]"

// alwaysMasked are headers whose values are credentials by their definition,
// whatever the subscription says.
var alwaysMasked = map[string]bool{
	"authorization": true, "cookie": true, "set-cookie": true, "proxy-authorization": true,
}

// Mask returns the headers as they may be stored and shown: secret values, and
// the values of headers that are credentials by definition, are replaced.
func Mask(headers []Header) []Header {
	out := make([]Header, len(headers))
	for i, h := range headers {
		if h.Secret || alwaysMasked[lower(h.Name)] {
			h.Value = Masked
		}
		out[i] = h
	}
	return out
}

// lower folds ASCII only: names of headers are ASCII.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}
