package watch

import (
	"sync"
	"time"
)

// Reading is what was measured at a time. A figure that could not be measured is
// not in it.
type Reading struct {
	At time.Time
	// Lags are records behind, by group.
	Lags map[string]int64
	// Markers are how many of them the ends of transactions may be: one of each
	// partition, which nobody reads and which stays behind in a topic at rest.
	Markers map[string]int64
	// Stuck is how long a topic's last stable offset has stood still.
	Stuck map[string]time.Duration
}

// Last holds the last reading. A nil Last holds none.
type Last struct {
	mu sync.Mutex
	r  Reading
}

func (l *Last) put(r Reading) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r = r
}

// Get is the last reading, unless it is older than three rounds.
func (l *Last) Get(now time.Time) (Reading, bool) {
	if l == nil {
		return Reading{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r, !l.r.At.IsZero() && now.Sub(l.r.At) <= 3*every
}

// Groups are those whose lag is measured.
func Groups() []string { return append([]string(nil), groups...) }
