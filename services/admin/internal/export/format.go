package export

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// Names of the formats.
const (
	CSV    = "csv"
	NDJSON = "ndjson"
)

// Types are the media types of the formats.
var Types = map[string]string{CSV: "text/csv", NDJSON: "application/x-ndjson"}

// Format is how rows become a file.
type Format struct {
	contentType, extension string
	head                   []byte
	row                    func(to []byte, a *store.Attempt) []byte
	// cut is the last line of a file that is not all.
	cut func(to []byte, c cut) []byte
}

var formats = map[string]*Format{
	CSV:    {contentType: Types[CSV] + "; charset=utf-8; header=present", extension: CSV, head: csvHead(), row: csvRow, cut: csvCut},
	NDJSON: {contentType: Types[NDJSON], extension: NDJSON, row: jsonRow, cut: jsonCut},
}

// column is one of the CSV. They have the names of the API's fields.
type column struct {
	name string
	text func(*store.Attempt) string
}

var columns = []column{
	{"started_at", func(a *store.Attempt) string { return instant(a.StartedAt) }},
	{"subscription_name", func(a *store.Attempt) string { return a.SubscriptionName }},
	{"event_type", func(a *store.Attempt) string { return a.EventType }},
	{"call_id", func(a *store.Attempt) string { return a.CallID }},
	{"cause", func(a *store.Attempt) string { return a.Cause }},
	{"attempt", func(a *store.Attempt) string { return strconv.Itoa(int(a.Attempt)) }},
	{"attempts_allowed", func(a *store.Attempt) string { return strconv.Itoa(int(a.AttemptsAllowed)) }},
	{"result", func(a *store.Attempt) string { return a.Result }},
	{"http_status", func(a *store.Attempt) string { return unlessZero(int64(a.HTTPStatus)) }},
	{"error_class", func(a *store.Attempt) string { return a.ErrorClass }},
	{"duration_ms", func(a *store.Attempt) string { return strconv.FormatInt(a.DurationMS, 10) }},
	{"call_end_to_delivered_ms", func(a *store.Attempt) string {
		if a.CallEndToDeliveredMS == nil {
			return ""
		}
		return strconv.FormatInt(*a.CallEndToDeliveredMS, 10)
	}},
	{"next_attempt_at", func(a *store.Attempt) string { return instant(a.NextAttemptAt) }},
	{"state", func(a *store.Attempt) string { return a.State }},
	{"reason", func(a *store.Attempt) string { return a.Reason }},
	{"attempt_id", func(a *store.Attempt) string { return a.AttemptID }},
	{"delivery_id", func(a *store.Attempt) string { return a.DeliveryID }},
	{"event_id", func(a *store.Attempt) string { return a.EventID }},
	{"subscription_id", func(a *store.Attempt) string { return a.SubscriptionID }},
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(wire.Layout)
}

func unlessZero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func csvHead() []byte {
	var out []byte
	for i, c := range columns {
		out = cell(out, i, c.name)
	}
	return append(out, "\r\n"...)
}

func csvRow(to []byte, a *store.Attempt) []byte {
	for i, c := range columns {
		to = cell(to, i, c.text(a))
	}
	return append(to, "\r\n"...)
}

// csvCut has as many cells as any other line.
func csvCut(to []byte, c cut) []byte {
	to = cell(to, 0, "INCOMPLETE: "+why(c)+" after "+strconv.Itoa(c.Rows)+" rows. The rest begins at cursor "+c.Cursor)
	for i := range columns[1:] {
		to = cell(to, i+1, "")
	}
	return append(to, "\r\n"...)
}

func why(c cut) string {
	if c.Reason == reasonTime {
		return "the time limit was reached"
	}
	return "the list could not be read on"
}

// Line adds a line of cells, none of which a spreadsheet takes for a formula.
func Line(to []byte, cells ...string) []byte {
	for i, text := range cells {
		to = cell(to, i, text)
	}
	return append(to, "\r\n"...)
}

// cell adds one cell. Quoted is all that is not plainly a word or a number: what
// has a separator of other places (;) or of lines in it must not become two cells
// there, the second of which is a formula.
func cell(to []byte, i int, text string) []byte {
	if i > 0 {
		to = append(to, ',')
	}
	if text != "" && strings.IndexByte("=+-@\t\r\n", text[0]) >= 0 {
		text = "'" + text
	}
	if !strings.ContainsFunc(text, quoted) {
		return append(to, text...)
	}
	to = append(to, '"')
	to = append(to, strings.ReplaceAll(text, `"`, `""`)...)
	return append(to, '"')
}

func quoted(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._:-", r)
}

func jsonRow(to []byte, a *store.Attempt) []byte { return jsonLine(to, Row(*a)) }

func jsonCut(to []byte, c cut) []byte {
	return jsonLine(to, struct {
		Incomplete bool   `json:"incomplete"`
		Reason     string `json:"reason"`
		Detail     string `json:"detail"`
		Rows       int    `json:"rows"`
		NextCursor string `json:"next_cursor"`
	}{true, c.Reason, "This is not all: " + why(c) + ".", c.Rows, c.Cursor})
}

func jsonLine(to []byte, v any) []byte {
	b := bytes.NewBuffer(to)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of strings and numbers: it cannot fail
	return b.Bytes()
}
