package webhook

import (
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait an endpoint can ask for; more counts as this.
const MaxRetryAfter = 6 * time.Hour

// httpDates are the three forms of RFC 9110 section 5.6.7.
var httpDates = []string{
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// ParseRetryAfter reads a Retry-After header (RFC 9110 section 10.2.3): a whole
// number of seconds, or an HTTP date. The result is at most MaxRetryAfter. False
// means that it asks for nothing: it is absent, garbage, negative, zero or past.
func ParseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.Trim(value, " \t")
	if value == "" || len(value) > 64 {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		// The only error left is a number too large to hold.
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, seconds > 0
	}
	for _, layout := range httpDates {
		at, err := time.Parse(layout, value)
		if err != nil {
			continue
		}
		// Sub saturates for dates further away than a Duration holds.
		wait := at.Sub(now)
		if wait <= 0 {
			return 0, false
		}
		return min(wait, MaxRetryAfter), true
	}
	return 0, false
}
