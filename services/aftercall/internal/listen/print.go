package listen

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Printer returns an OnRequest that shows each request on w: as an aligned line,
// or as a line of JSON.
func Printer(w io.Writer, asJSON bool) func(Entry) {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return func(e Entry) { _ = encoder.Encode(e) }
	}
	return func(e Entry) { _, _ = io.WriteString(w, Line(e)) }
}

// Line shows a request in one line for people, such as
//
//	10:14:07 App.QueueWebhook     /flaky       200 verified  1,204 B    6 ms  attempt 2  evt_…
func Line(e Entry) string {
	status := strconv.Itoa(e.Status)
	if e.Status == 0 {
		status = "---"
	}
	eventType := plain(e.EventType)
	if eventType == "" {
		eventType = "(no event type)"
	}
	var more []string
	if e.Attempt != "" {
		more = append(more, "attempt "+plain(e.Attempt))
	}
	if e.Cause != "" && e.Cause != "call_ended" {
		more = append(more, plain(e.Cause))
	}
	if e.WebhookID != "" {
		more = append(more, plain(e.WebhookID))
	}
	if e.Status >= 200 && e.Status < 300 && e.Seen > 1 && e.Attempt == "1" {
		more = append(more, "again")
	}
	if e.Problem != "" {
		more = append(more, "("+plain(e.Problem)+")")
	}
	return fmt.Sprintf("%s %-20s %-12s %s %-9s %9s %8s  %s\n", e.Time.Local().Format(time.TimeOnly), eventType, plain(e.Path),
		status, e.Signature, thousands(len(e.Body))+" B", strconv.FormatInt(e.Took.Milliseconds(), 10)+" ms", strings.Join(more, "  "))
}

// plain makes what came from outside harmless for a terminal.
func plain(s string) string {
	const enough = 120
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
