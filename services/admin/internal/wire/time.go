// Package wire is how values stand in the API's JSON.
package wire

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Layout is RFC 3339 in UTC with milliseconds, always three of them.
const Layout = "2006-01-02T15:04:05.000Z"

// Time is a time as the API writes it. The zero time is left out by omitzero.
type Time struct{ time.Time }

// At makes a Time.
func At(t time.Time) Time { return Time{t} }

// MarshalJSON writes Layout.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(Layout) + `"`), nil
}

// UnmarshalJSON takes any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error { return t.Time.UnmarshalJSON(b) }

// Schema says so in the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "RFC 3339, UTC, milliseconds.", Examples: []any{"2026-03-14T09:26:53.589Z"}}
}
