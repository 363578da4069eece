package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// state is a word with its shape and colour: no one of the three stands alone.
type state struct{ Word, Class, Shape string }

var (
	on  = state{"Active", "ok", "dot"}
	off = state{"Off", "", "square"}

	// sending is a delivery that is routed and has no attempt yet.
	sending = state{"sending", "info", "dot"}
)

// resultState is an attempt's result.
func resultState(result, reason string) state {
	switch result {
	case "delivered":
		return state{"delivered", "ok", "tick"}
	case "failed":
		return state{"failed", "bad", "cross"}
	case "not_sent":
		if reason != "" {
			return state{"not sent: " + words(reason), "", "square"}
		}
		return state{"not sent", "", "square"}
	}
	return state{words(result), "", "ring"}
}

// deliveryState is where a delivery stands.
func deliveryState(s, reason string) state {
	switch s {
	case "queued":
		return state{"queued", "info", "ring"}
	case "waiting":
		return state{"waiting", "wait", "clock"}
	case "delivered":
		return state{"delivered", "ok", "tick"}
	case "given_up":
		return state{"given up", "bad", "cross"}
	case "stopped":
		if reason != "" {
			return state{"stopped: " + words(reason), "", "square"}
		}
		return state{"stopped", "", "square"}
	}
	return state{words(s), "", "ring"}
}

func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

func causeWords(cause string) string {
	switch cause {
	case "call_ended":
		return ""
	case "test":
		return "test"
	case "resend":
		return "resend"
	case "replay":
		return "replay"
	}
	return words(cause)
}

func causeLong(cause string) string {
	switch cause {
	case "call_ended":
		return "A call ended."
	case "test":
		return "Send Test Webhook was pressed."
	case "resend":
		return "Resend was pressed."
	case "replay":
		return "A replay sent it."
	}
	return words(cause)
}

func httpText(status int32) string {
	if status == 0 {
		return "–"
	}
	return strconv.Itoa(int(status))
}

// duration is short, for people.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < 10*time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}

// span is a length of time in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		return strconv.Itoa(int(d/time.Second)) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " d"
}

func position(p store.Position) string {
	if p.Topic == "" {
		return ""
	}
	return fmt.Sprintf("%s p%d @%d", p.Topic, p.Partition, p.Offset)
}

func bytesText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/1024)
}

// soon is how far off a time to come is.
func (c *Console) soon(t time.Time) string {
	if s := span(t.Sub(c.Now())); s != "now" {
		return "in " + s
	}
	return "now"
}

func (c *Console) funcs() template.FuncMap {
	return template.FuncMap{
		"asset":   func(name string) string { return fingerprints[name] },
		"icon":    icon,
		"inc":     func(i int) int { return i + 1 },
		"rfc3339": func(t time.Time) string { return t.UTC().Format(wire.Layout) },
		"stamp": func(t time.Time) string {
			if t.IsZero() {
				return "–"
			}
			return t.UTC().Format("2006-01-02 15:04:05.000") + " UTC"
		},
		"clock": func(t time.Time) string {
			t = t.UTC()
			now := c.Now().UTC()
			if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
				return t.Format("15:04:05")
			}
			return t.Format("Jan 2 15:04:05")
		},
		"ago": func(t time.Time) string {
			if s := span(c.Now().Sub(t)); s != "now" {
				return s + " ago"
			}
			return "just now"
		},
		// when an attempt's retry was due: soon, or at a time that has passed.
		"due": func(t time.Time) string {
			if c.Now().Sub(t) > time.Minute {
				return t.UTC().Format("15:04:05")
			}
			return c.soon(t)
		},
		"soon": c.soon,
		// when a delivery goes out next. A time that has passed is not the whole truth:
		// it was put off again, and history does not say each time until when.
		"until": func(t time.Time) string {
			if c.Now().Sub(t) > time.Minute {
				return "when the endpoint takes it"
			}
			return c.soon(t)
		},
	}
}
