package mover

import (
	"testing"
	"time"
)

func TestWhatIsOverdueIsTheEarliestOfWhatIsHeld(t *testing.T) {
	m := &Mover{held: map[partition]*queue{}}
	m.note()
	if m.overdue() != 0 {
		t.Error("overdue with nothing held")
	}
	m.held[partition{"a", 0}] = &queue{due: []time.Time{time.Now().Add(-time.Minute)}}
	m.held[partition{"a", 1}] = &queue{due: []time.Time{time.Now().Add(-time.Hour), time.Now()}}
	m.note()
	if got := m.overdue(); got < 3600 || got > 3700 {
		t.Errorf("%v s", got)
	}
	m.held = map[partition]*queue{{"a", 0}: {due: []time.Time{time.Now().Add(time.Hour)}}}
	m.note()
	if m.overdue() != 0 {
		t.Error("overdue though it is due in an hour")
	}
}
