// Package problem is what goes wrong on purpose in the administration service:
// an RFC 9457 problem with a stable code, an HTTP status and, where a field is
// to blame, its JSON pointer. The API answers it as it is; the console ties it
// to the fields of a form. Everything else is a fault of ours, and From turns it
// into a 500 that says nothing about its inside.
package problem

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"github.com/aftercall/aftercall/pkg/store"
)

// Stable codes. A client may depend on them; texts may change.
const (
	CodeInvalid          = "invalid"
	CodeUnknownField     = "unknown_field"
	CodeNotAvailableYet  = "not_available_yet"
	CodeNotFound         = "not_found"
	CodeUnauthorized     = "unauthorized"
	CodeForbidden        = "forbidden"
	CodeStale            = "version_stale"
	CodeIfMatchRequired  = "if_match_required"
	CodeCursorInvalid    = "cursor_invalid"
	CodePayloadExpired   = "payload_expired"
	CodePayloadErased    = "payload_erased"
	CodeKafkaUnavailable = "kafka_unavailable"
	CodeConflict         = "conflict"
	CodeTooLarge         = "too_large"
	CodeTimeout          = "timeout"
	CodeTooManyStreams   = "too_many_streams"
	CodeTooManyExports   = "too_many_exports"
	CodeInternal         = "internal"
)

// Problem is an error that the asker can do something about.
type Problem struct {
	Type   string  `json:"type" doc:"Always about:blank: the code identifies the problem." example:"about:blank"`
	Title  string  `json:"title" doc:"The status in words."`
	Status int     `json:"status" doc:"HTTP status code."`
	Code   string  `json:"code" doc:"Stable code of the problem." example:"version_stale"`
	Detail string  `json:"detail" doc:"What is wrong and what would be right."`
	Errors []Field `json:"errors,omitempty" doc:"One entry a field to blame."`
}

// Field is one thing wrong with one field.
type Field struct {
	Pointer string `json:"pointer" doc:"JSON pointer of the field in the request's body, or the name of a parameter." example:"/endpoint"`
	Code    string `json:"code" doc:"Stable code." example:"invalid"`
	Message string `json:"message" doc:"What is wrong and what would be right. Never the value itself."`
}

// New makes a problem.
func New(status int, code, detail string, fields ...Field) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Errors: fields}
}

// Invalid is a 422 over fields. When all of them have one code, the problem has
// it too.
func Invalid(fields ...Field) *Problem {
	code, detail := CodeInvalid, "The request has fields that cannot be taken."
	if len(fields) > 0 {
		code, detail = fields[0].Code, fields[0].Message
		for _, f := range fields[1:] {
			if f.Code != code {
				code = CodeInvalid
			}
		}
		if len(fields) > 1 {
			detail = "Several fields cannot be taken."
		}
	}
	return New(http.StatusUnprocessableEntity, code, detail, fields...)
}

// NotFound says that there is no such thing (any more).
func NotFound(what string) *Problem {
	return New(http.StatusNotFound, CodeNotFound, "There is no such "+what+".")
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// At is what is wrong with one field, or "".
func (p *Problem) At(pointer string) string {
	if p == nil {
		return ""
	}
	for _, f := range p.Errors {
		if f.Pointer == pointer {
			return f.Message
		}
	}
	return ""
}

// From maps any error to a problem: this is the one place where the store's
// errors become statuses.
func From(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return New(http.StatusNotFound, CodeNotFound, "There is no such thing, or its retention has passed.")
	case errors.Is(err, store.ErrVersion):
		return New(http.StatusPreconditionFailed, CodeStale, "It was changed meanwhile. Read it again, then repeat your change with its new ETag.")
	case errors.Is(err, store.ErrCursor):
		return New(http.StatusBadRequest, CodeCursorInvalid, "The cursor is not one that this list gave out.",
			Field{Pointer: "cursor", Code: CodeCursorInvalid, Message: "Start again without a cursor."})
	case errors.Is(err, store.ErrPayloadErased):
		return New(http.StatusGone, CodePayloadErased, "Its personal data was erased: only its history is kept.")
	case errors.Is(err, store.ErrPayloadExpired):
		return New(http.StatusGone, CodePayloadExpired, "The payload's retention has passed: only its history is kept.")
	case errors.Is(err, context.DeadlineExceeded):
		return New(http.StatusServiceUnavailable, CodeTimeout, "It took too long. Try again.")
	}
	return New(http.StatusInternalServerError, CodeInternal, "Something went wrong on our side. The log has the details.")
}

// Fault is a fault of ours that the log has under a request's id.
func Fault(request string) *Problem {
	return New(http.StatusInternalServerError, CodeInternal, "Something went wrong on our side. The log has the details, under request "+request+".")
}

// NewRequest makes the id of a request that went wrong: what people tell each other,
// and look for in the log.
func NewRequest() string { return strings.ToLower(rand.Text()[:12]) }
