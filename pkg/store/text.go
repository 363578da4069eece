package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxID bounds what stands in an index: PostgreSQL refuses index entries over
// about 2,700 bytes.
const maxID = 512

// Clean makes text storable in either database: invalid UTF-8 and NUL become
// U+FFFD.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// CleanID makes an identifier storable and indexable: an oversized one is cut
// and ends in a digest of the whole, so that different ones stay different.
// Queries pass theirs through it too, and find it again.
func CleanID(s string) string {
	s = Clean(s)
	if len(s) <= maxID {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	cut := maxID - 40
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…" + hex.EncodeToString(sum[:16])
}

var (
	minTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// CleanTime is t in UTC to the microsecond, or the zero time when t cannot be a
// time of this system (before 2000, or from 2200 on).
func CleanTime(t time.Time) time.Time {
	if t.Before(minTime) || !t.Before(maxTime) {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// TimeLayout is how SQLite keeps times: of fixed width, so that texts compare
// as times do.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// instant reads a time from either database, the zero time for NULL.
type instant struct{ t *time.Time }

func (i instant) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*i.t = time.Time{}
	case time.Time:
		*i.t = v.UTC()
	case string:
		return i.parse(v)
	case []byte:
		return i.parse(string(v))
	default:
		return fmt.Errorf("reading a time: unexpected %T", v)
	}
	return nil
}

func (i instant) parse(s string) error {
	t, err := time.Parse(time.RFC3339Nano, s)
	*i.t = t.UTC()
	return err
}
