package tracker

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
)

// Map is what is finished above a committed offset: ascending runs that neither
// touch nor overlap. It travels as the metadata of a commit.
type Map []Run

// Run is a run of finished offsets, both ends included.
type Run struct{ From, To int64 }

// Contains says whether an offset is finished.
func (m Map) Contains(offset int64) bool {
	i := sort.Search(len(m), func(i int) bool { return m[i].To >= offset })
	return i < len(m) && m[i].From <= offset
}

// MaxMetadata is the most that Encode returns, in bytes. Brokers take 4,096 by
// default (offset.metadata.max.bytes).
const MaxMetadata = 3000

// MaxRuns is the number of runs that fits into MaxMetadata in the usual case of
// short runs. Polling pauses before it is reached.
const MaxRuns = 1000

// prefix names the format and its version; a reader that does not know it
// ignores the map.
const prefix = "aftercall1:"

// ErrMap says that a metadata string is not a map of this version. It is safe
// to go on without one: what was finished is then done again.
var ErrMap = errors.New("not an offset map of this version")

// Encode renders the map relative to the committed offset as text of at most
// MaxMetadata bytes. What does not fit is left out, highest offsets first: it
// would be repeated, never lost.
func (m Map) Encode(committed int64) string {
	if len(m) == 0 {
		return ""
	}
	limit := base64.RawStdEncoding.DecodedLen(MaxMetadata - len(prefix))
	raw := make([]byte, 0, min(limit, 4*len(m)))
	var scratch [2 * binary.MaxVarintLen64]byte
	at := committed
	for _, run := range m {
		n := binary.PutUvarint(scratch[:], uint64(run.From-at))
		n += binary.PutUvarint(scratch[n:], uint64(run.To-run.From))
		if len(raw)+n > limit {
			break
		}
		raw = append(raw, scratch[:n]...)
		at = run.To
	}
	return prefix + base64.RawStdEncoding.EncodeToString(raw)
}

// DecodeMap reads the metadata of a commit at the committed offset. Empty
// metadata is an empty map. Anything that is not one of our maps, whole and
// sound, is ErrMap.
func DecodeMap(committed int64, metadata string) (Map, error) {
	if metadata == "" {
		return nil, nil
	}
	text, ok := strings.CutPrefix(metadata, prefix)
	if !ok {
		return nil, ErrMap
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMap, err)
	}
	var m Map
	at := committed
	for len(raw) > 0 {
		gap, n := binary.Uvarint(raw)
		if n <= 0 {
			return nil, fmt.Errorf("%w: torn run", ErrMap)
		}
		length, k := binary.Uvarint(raw[n:])
		if k <= 0 {
			return nil, fmt.Errorf("%w: torn run", ErrMap)
		}
		raw = raw[n+k:]
		// The first offset at or above the commit is unfinished, and runs do
		// not touch: a gap of none is not ours.
		if gap == 0 || gap > math.MaxInt64 || length > math.MaxInt64 ||
			at > math.MaxInt64-int64(gap) || at+int64(gap) > math.MaxInt64-int64(length) {
			return nil, fmt.Errorf("%w: run out of range", ErrMap)
		}
		from := at + int64(gap)
		m = append(m, Run{From: from, To: from + int64(length)})
		at = from + int64(length)
	}
	return m, nil
}
