package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// list is one of n attempts, a page at a time.
type list struct {
	n, read int
	row     func(i int) store.Attempt
	// before is called for each page.
	before func(page int) error
	audit  []store.AuditEntry
	mute   error
}

func (l *list) Attempts(ctx context.Context, q store.AttemptQuery) ([]store.Attempt, string, error) {
	l.read++
	if l.before != nil {
		if err := l.before(l.read); err != nil {
			return nil, "", err
		}
	}
	from := 0
	if q.Cursor != "" {
		from, _ = strconv.Atoi(q.Cursor)
	}
	to := min(l.n, from+q.Limit)
	var out []store.Attempt
	for i := from; i < to; i++ {
		out = append(out, l.row(i))
	}
	next := ""
	if to < l.n {
		next = strconv.Itoa(to)
	}
	return out, next, ctx.Err()
}

func (l *list) AddAudit(_ context.Context, e store.AuditEntry) error {
	l.audit = append(l.audit, e)
	return l.mute
}

func numbered(i int) store.Attempt {
	return store.Attempt{AttemptID: "a-" + strconv.Itoa(i), CallID: "c-1", StartedAt: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)}
}

func written(t *testing.T, e Exporter, format string) (body string, r *http.Response) {
	t.Helper()
	x, err := e.Begin(t.Context(), format, store.AttemptQuery{SubscriptionID: "sub_1", Result: "failed"}, store.Actor{Name: "ann", Kind: "session"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	x.Header(w.Header())
	_ = x.Write(t.Context(), w)
	return w.Body.String(), w.Result()
}

func TestNoCellIsAFormulaAndEveryCellComesBackAsItWas(t *testing.T) {
	hostile := []string{"=HYPERLINK(\"http://evil\")", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "a;=1", "a\t=1", "a\n=1", "a\r\nb", `"`, `","`, "<script>", "\u202etxt", "é", " =1"}
	l := &list{n: len(hostile), row: func(i int) store.Attempt { return store.Attempt{SubscriptionName: hostile[i], CallID: hostile[i]} }}
	body, r := written(t, Exporter{Rows: l}, CSV)
	if got := r.Header.Get("Content-Type"); got != "text/csv; charset=utf-8; header=present" {
		t.Errorf("the content type is %q", got)
	}
	if strings.Count(body, "\r\n") < len(hostile)+1 || !strings.HasSuffix(body, "\r\n") {
		t.Error("lines do not end as RFC 4180 has them")
	}
	// The reader of the standard library makes \n of \r\n in a cell.
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows[1:] {
		got := row[1]
		if strings.ContainsAny(got[:1], "=+-@\t\r\n") {
			t.Errorf("the cell %q is a formula", got)
		}
		if strings.TrimPrefix(got, "'") != strings.ReplaceAll(hostile[i], "\r\n", "\n") {
			t.Errorf("%q came back as %q", hostile[i], got)
		}
	}
	// Where ; or a tab separates, no line has a cell that begins a formula.
	for _, unquoted := range []string{"a;=", "a\t="} {
		if strings.Contains(body, ","+unquoted) {
			t.Errorf("%q is not quoted: %s", unquoted, body)
		}
	}
}

func TestAnExportOfManyPagesIsWholeAndHoldsOneAtATime(t *testing.T) {
	l := &list{n: 3*pageRows + 7, row: numbered}
	body, r := written(t, Exporter{Rows: l}, NDJSON)
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if len(lines) != l.n || l.read != 4 {
		t.Fatalf("%d lines of %d, %d pages", len(lines), l.n, l.read)
	}
	for i, line := range lines {
		var a Attempt
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil || a.AttemptID != "a-"+strconv.Itoa(i) {
			t.Fatalf("line %d is %s: %v", i, line, err)
		}
	}
	if got := r.Trailer.Get(Trailer); got != "complete; rows=1507" {
		t.Errorf("the trailer is %q", got)
	}
	if len(l.audit) != 1 || l.audit[0].Action != "attempts.exported" || l.audit[0].Actor != "ann" || l.audit[0].Object != "sub_1" || l.audit[0].Detail["result"] != "failed" || l.audit[0].Detail["format"] != "ndjson" {
		t.Errorf("the audit log has %+v", l.audit)
	}
}

func TestWhatWasCutOffSaysSoInTheLastLineAndInTheTrailer(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		before       func(clock *time.Time, page int) error
	}{
		{"by time", "time_limit", func(clock *time.Time, page int) error {
			*clock = clock.Add(time.Minute)
			return nil
		}},
		{"by a fault", "fault", func(_ *time.Time, page int) error {
			if page > 2 {
				return errors.New("the store is away")
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, format := range []string{CSV, NDJSON} {
				clock := time.Now()
				l := &list{n: 100 * pageRows, row: numbered}
				l.before = func(page int) error { return c.before(&clock, page) }
				body, r := written(t, Exporter{Rows: l, Limit: 2 * time.Minute, Now: func() time.Time { return clock }}, format)
				if got := r.Trailer.Get(Trailer); got != "incomplete; rows=1000; reason="+c.reason {
					t.Errorf("%s: the trailer is %q", format, got)
				}
				if format == CSV {
					rows, err := csv.NewReader(strings.NewReader(body)).ReadAll() // every line has as many cells
					if err != nil || len(rows) != 1002 {
						t.Fatalf("%d lines, %v", len(rows), err)
					}
					if last := rows[1001][0]; !strings.HasPrefix(last, "INCOMPLETE: ") || !strings.HasSuffix(last, " after 1000 rows. The rest begins at cursor 1000") {
						t.Errorf("the last line is %q", last)
					}
					continue
				}
				lines := bytes.Split(bytes.TrimSuffix([]byte(body), []byte("\n")), []byte("\n"))
				var last struct {
					Incomplete bool
					Reason     string
					Rows       int
					NextCursor string `json:"next_cursor"`
				}
				if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || !last.Incomplete || last.Reason != c.reason || last.Rows != 1000 || last.NextCursor != "1000" || len(lines) != 1001 {
					t.Errorf("the last of %d lines is %s: %v", len(lines), lines[len(lines)-1], err)
				}
			}
		})
	}
}

func TestFewExportsAreMadeAtOnce(t *testing.T) {
	e := Exporter{Rows: &list{n: 1, row: numbered}, Turns: NewTurns(1)}
	begin := func(ctx context.Context) (*Export, error) {
		return e.Begin(ctx, CSV, store.AttemptQuery{}, store.Actor{})
	}
	one, err := begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(t.Context()); problem.From(err).Status != http.StatusServiceUnavailable || problem.From(err).Code != problem.CodeTooManyExports {
		t.Errorf("the second of one answered %v", err)
	}
	// What ended, what could not begin, and what nobody writes give their turn back.
	_ = one.Write(t.Context(), httptest.NewRecorder())
	broken := e
	broken.Rows = &list{before: func(int) error { return errors.New("away") }}
	if _, err := broken.Begin(t.Context(), CSV, store.AttemptQuery{}, store.Actor{}); err == nil {
		t.Error("a list that cannot be read is exported")
	}
	ctx, left := context.WithCancel(t.Context())
	if _, err := begin(ctx); err != nil {
		t.Fatal(err)
	}
	left()
	e.Turns <- struct{}{} // waits until it is given back
}

// A call's id may be a number, or hold one; an erasure does not look for it in the
// audit log.
func TestTheAuditLogDoesNotNameTheCallThatWasExported(t *testing.T) {
	l := &list{n: 1, row: numbered}
	if _, err := (Exporter{Rows: l}).Begin(t.Context(), CSV, store.AttemptQuery{CallID: "sip:12025550142@pbx"}, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if d := l.audit[0].Detail; d["call"] != "one" || len(d) != 2 {
		t.Errorf("it says %v", d)
	}
}

func TestWhatCannotBeAuditedOrReadOrIsNoFormatIsNoFile(t *testing.T) {
	ok := &list{n: 1, row: numbered}
	if _, err := (Exporter{Rows: ok}).Begin(t.Context(), "xlsx", store.AttemptQuery{}, store.Actor{}); problem.From(err).Status != http.StatusBadRequest || ok.read != 0 {
		t.Errorf("another format: %v", err)
	}
	if _, err := (Exporter{Rows: &list{n: 1, row: numbered, mute: errors.New("away")}}).Begin(t.Context(), CSV, store.AttemptQuery{}, store.Actor{}); err == nil {
		t.Error("it was not audited, and exported")
	}
	broken := &list{before: func(int) error { return store.ErrCursor }}
	if _, err := (Exporter{Rows: broken}).Begin(t.Context(), CSV, store.AttemptQuery{}, store.Actor{}); !errors.Is(err, store.ErrCursor) || len(broken.audit) != 0 {
		t.Errorf("a forged cursor: %v", err)
	}
}
