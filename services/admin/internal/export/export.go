// Package export writes the list of attempts as a file: CSV for spreadsheets,
// NDJSON for programs.
//
// What it guarantees:
//
//   - It holds one page of the list at a time, however long the list is. There is
//     a limit of time and none of rows.
//   - What was cut off says so: in the last line, and in the trailer
//     Aftercall-Export. A file without such a line is all that the list had.
//   - Few are made at once (AtOnce); one too many is refused, and says so.
//   - It carries the columns of the list: no payload, no header, no answer, and so
//     no personal data that the list would mask.
//   - No cell of the CSV is a formula to a spreadsheet.
//   - Who exported what is in the audit log before the first byte is written. What
//     cannot be audited is not exported. Of a call it says that there was one.
package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// DefaultLimit is how long an export may take.
const DefaultLimit = 10 * time.Minute

const (
	pageRows = 500
	// patience with a reader of the file, for each page.
	patience = 30 * time.Second
)

// Trailer is the name of the HTTP trailer that says whether it is all.
const Trailer = "Aftercall-Export"

// Rows are what an export reads, and where it says so.
type Rows interface {
	Attempts(ctx context.Context, q store.AttemptQuery) ([]store.Attempt, string, error)
	AddAudit(ctx context.Context, e store.AuditEntry) error
}

// Exporter makes exports.
type Exporter struct {
	Rows Rows
	// Turns bound how many are made at once.
	Turns Turns
	// Limit of time, DefaultLimit when 0.
	Limit time.Duration
	Now   func() time.Time
}

func (e Exporter) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// Export is one that has begun.
type Export struct {
	rows   Rows
	format *Format
	query  store.AttemptQuery
	began  time.Time
	until  time.Time
	now    func() time.Time
	first  []store.Attempt
	next   string
	// ended gives its turn back.
	ended func()
}

// Begin keeps who asked for what, and reads the first page, so that what is wrong
// with a query is answered as an error and not in a file.
func (e Exporter) Begin(ctx context.Context, format string, q store.AttemptQuery, by store.Actor) (*Export, error) {
	f := formats[format]
	if f == nil {
		return nil, problem.New(http.StatusBadRequest, problem.CodeInvalid, "An export is csv or ndjson.", problem.Field{Pointer: "format", Code: problem.CodeInvalid, Message: "csv or ndjson."})
	}
	ended, err := e.Turns.take(ctx)
	if err != nil {
		return nil, err
	}
	x, err := e.begin(ctx, f, q, by)
	if err != nil {
		ended()
		return nil, err
	}
	x.ended = ended
	return x, nil
}

func (e Exporter) begin(ctx context.Context, f *Format, q store.AttemptQuery, by store.Actor) (*Export, error) {
	q.Limit = pageRows
	now := e.now()
	x := &Export{rows: e.Rows, format: f, query: q, began: now, until: now.Add(cmp.Or(e.Limit, DefaultLimit)), now: e.now}
	var err error
	if x.first, x.next, err = e.Rows.Attempts(ctx, q); err != nil {
		return nil, err
	}
	entry := store.AuditEntry{Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: "attempts.exported", Object: q.SubscriptionID, Detail: filters(f.extension, q)}
	if err := e.Rows.AddAudit(ctx, entry); err != nil {
		return nil, fmt.Errorf("keeping who exports: %w", err)
	}
	return x, nil
}

// filters are what the audit log says of an export. It does not name a call: its id
// may be a number, which an erasure would not find there.
func filters(format string, q store.AttemptQuery) map[string]string {
	out := map[string]string{"format": format}
	for name, v := range map[string]string{"event_type": q.EventType, "delivery": q.DeliveryID, "event": q.EventID, "result": q.Result, "state": q.State,
		"error": q.ErrorClass, "status": q.Status, "cause": q.Cause} {
		if v != "" {
			out[name] = v
		}
	}
	if q.CallID != "" {
		out["call"] = "one"
	}
	for name, n := range map[string]int32{"min_attempt": q.MinAttempt, "max_attempt": q.MaxAttempt} {
		if n > 0 {
			out[name] = strconv.Itoa(int(n))
		}
	}
	for name, t := range map[string]time.Time{"from": q.From, "to": q.To} {
		if !t.IsZero() {
			out[name] = t.UTC().Format(time.RFC3339)
		}
	}
	return out
}

// Header names the file and what it is.
func (x *Export) Header(h http.Header) {
	h.Set("Content-Type", x.format.contentType)
	h.Set("Content-Disposition", `attachment; filename="attempts-`+x.began.UTC().Format("20060102T150405Z")+"."+x.format.extension+`"`)
	h.Set("Trailer", Trailer)
}

// cut is why an export ended early.
type cut struct {
	Reason string
	Rows   int
	// Cursor is where the rest begins.
	Cursor string
}

// Reasons of an end before the end.
const (
	reasonTime  = "time_limit"
	reasonFault = "fault"
)

// Write streams the file. The error is what the log should say: the reader knows
// from the last line.
func (x *Export) Write(ctx context.Context, w http.ResponseWriter) error {
	defer x.ended()
	control := http.NewResponseController(w)
	// A server's deadline is for an answer; this is many.
	on := func() { _ = control.SetWriteDeadline(time.Now().Add(patience)) }
	on()
	end := func(trailer string) { w.Header().Set(Trailer, trailer) }
	if _, err := w.Write(x.format.head); err != nil {
		return nil // whoever reads it is gone
	}
	rows, page, next := 0, x.first, x.next
	x.first = nil
	var buffer []byte
	for {
		buffer = buffer[:0]
		for i := range page {
			buffer = x.format.row(buffer, &page[i])
		}
		on()
		if _, err := w.Write(buffer); err != nil {
			return nil // whoever reads it is gone
		}
		_ = control.Flush()
		rows += len(page)
		if next == "" {
			end("complete; rows=" + strconv.Itoa(rows))
			return nil
		}
		after, following, err := x.read(ctx, next)
		if err != nil {
			c := cut{Reason: reasonFault, Rows: rows, Cursor: next}
			if errors.Is(err, errTime) {
				c.Reason, err = reasonTime, nil
			}
			if ctx.Err() != nil {
				return nil // whoever reads it is gone
			}
			on()
			_, _ = w.Write(x.format.cut(nil, c))
			end("incomplete; rows=" + strconv.Itoa(rows) + "; reason=" + c.Reason)
			return err
		}
		page, next = after, following
	}
}

var errTime = errors.New("the export's time is over")

// read reads the page at a cursor, unless time is over.
func (x *Export) read(ctx context.Context, cursor string) ([]store.Attempt, string, error) {
	left := x.until.Sub(x.now())
	if left <= 0 {
		return nil, "", errTime
	}
	bounded, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	q := x.query
	q.Cursor = cursor
	rows, next, err := x.rows.Attempts(bounded, q)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return nil, "", errTime
	}
	return rows, next, err
}
