package stream

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Vector names the next record of every partition of the history topic.
type Vector map[int32]int64

// Limits of a vector that somebody sends.
const (
	maxVectorText = 16 << 10
	maxPartition  = 1 << 20
)

// ErrVector says that a text is no place in the history.
var ErrVector = errors.New("not a place in the history")

// String is partition:offset, by partition: "0:812,1:77".
func (v Vector) String() string {
	b := make([]byte, 0, 12*len(v))
	for i, p := range slices.Sorted(maps.Keys(v)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(p), 10)
		b = append(b, ':')
		b = strconv.AppendInt(b, v[p], 10)
	}
	return string(b)
}

// ParseVector reads what String wrote.
func ParseVector(text string) (Vector, error) {
	if text == "" || len(text) > maxVectorText {
		return nil, ErrVector
	}
	v := Vector{}
	for part := range strings.SplitSeq(text, ",") {
		left, right, _ := strings.Cut(part, ":")
		p, err := strconv.ParseInt(left, 10, 32)
		if err != nil || p < 0 || p > maxPartition {
			return nil, ErrVector
		}
		offset, err := strconv.ParseInt(right, 10, 64)
		if _, twice := v[int32(p)]; err != nil || offset < 0 || twice {
			return nil, ErrVector
		}
		v[int32(p)] = offset
	}
	return v, nil
}

func (v Vector) clone() Vector { return maps.Clone(v) }

// behind counts the records between two places.
func (v Vector) behind(target Vector) int64 {
	var n int64
	for p, at := range target {
		n += max(at-v[p], 0)
	}
	return n
}

// Within says whether everything before v is before the other place too.
func (v Vector) Within(offsets map[int32]int64) bool {
	for p, at := range v {
		if offsets[p] < at {
			return false
		}
	}
	return true
}
