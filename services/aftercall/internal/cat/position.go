package cat

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// position is a place in a topic: its start, its end as of now, an offset in each
// partition, or a time.
type position struct {
	start, now bool
	offset     int64
	time       time.Time
}

// parsePosition reads "start", "now", an offset, a time (RFC 3339), or a duration
// before now such as -2h.
func parsePosition(s string, now time.Time) (position, error) {
	switch s {
	case "start":
		return position{start: true}, nil
	case "now":
		return position{now: true}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return position{offset: n}, nil
	}
	if d, ok := strings.CutPrefix(s, "-"); ok {
		if back, err := time.ParseDuration(d); err == nil {
			return position{time: now.Add(-back)}, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return position{time: t}, nil
	}
	return position{}, fmt.Errorf("%q is no position: want start, now, an offset, a time such as 2026-01-31T08:00:00Z, or a duration ago such as -2h", s)
}

// offsets are the position's offsets in a topic, bounded by what is there.
func (p position) offsets(ctx context.Context, adm *kadm.Client, topicName string) (map[int32]int64, error) {
	starts, err := adm.ListStartOffsets(ctx, topicName)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("finding the start of %s: %w", topicName, err)
	}
	// The last stable offset: what is beyond is not committed.
	ends, err := adm.ListCommittedOffsets(ctx, topicName)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("finding the end of %s: %w", topicName, err)
	}
	var after kadm.ListedOffsets
	if !p.time.IsZero() {
		after, err = adm.ListOffsetsAfterMilli(ctx, p.time.UnixMilli(), topicName)
		if err == nil {
			err = after.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("finding %s in %s: %w", p.time.Format(time.RFC3339), topicName, err)
		}
	}
	at := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topicName, end.Partition)
		o := p.offset
		switch {
		case p.start:
			o = start.Offset
		case p.now:
			o = end.Offset
		case !p.time.IsZero():
			o = end.Offset
			if found, ok := after.Lookup(topicName, end.Partition); ok && found.Offset >= 0 {
				o = found.Offset
			}
		}
		at[end.Partition] = min(max(o, start.Offset), end.Offset)
	})
	return at, nil
}
