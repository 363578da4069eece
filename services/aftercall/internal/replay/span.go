package replay

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Span reads --from and --to; --from may hold both, as @t1:t2.
func Span(from, to string, now time.Time) (time.Time, time.Time, error) {
	if rest, ok := strings.CutPrefix(from, "@"); ok {
		from = rest
		for i := range rest { // times hold colons too: the first cut that reads well counts
			if rest[i] != ':' {
				continue
			}
			a, errA := moment(rest[:i], now)
			b, errB := moment(rest[i+1:], now)
			if errA == nil && errB == nil {
				return ordered(a, b)
			}
		}
	}
	a, err := moment(from, now)
	if err != nil {
		return a, a, client.Usagef("--from: %w", err)
	}
	b, err := moment(to, now)
	if err != nil {
		return a, b, client.Usagef("--to: %w", err)
	}
	return ordered(a, b)
}

func ordered(a, b time.Time) (time.Time, time.Time, error) {
	if !a.Before(b) {
		return a, b, client.Usagef("the span from %s to %s is empty: --from has to be before --to", a.Format(time.RFC3339), b.Format(time.RFC3339))
	}
	return a, b, nil
}

// moment reads now, a duration before now (-2h), RFC 3339, a day, or Unix
// milliseconds (13 digits) or seconds (10).
func moment(s string, now time.Time) (time.Time, error) {
	if s == "now" || s == "end" {
		return now, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d > 0 {
			d = -d
		}
		return now.Add(d), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) == 13 {
		return time.UnixMilli(n).UTC(), nil
	} else if err == nil && len(s) == 10 {
		return time.Unix(n, 0).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want now, a duration ago such as -2h, 2026-01-31T08:00:00Z, 2026-01-31, Unix milliseconds, or @t1:t2 for both ends", s)
}

// maxRate is the API's, in deliveries a second.
const maxRate = 1000

func withinAPI(rate int) error {
	if rate > maxRate {
		return client.Usagef("--rate: admin sends %d a second at most; with --topic it may be more", maxRate)
	}
	return nil
}

// perSecond reads 200 or 200/s.
func perSecond(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "/s"))
	if err != nil || n < 1 {
		return 0, client.Usagef("--rate: %q is no rate: want deliveries a second, such as 200/s", s)
	}
	return n, nil
}
