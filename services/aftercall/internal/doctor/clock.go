package doctor

import (
	"fmt"
	"time"
)

// How far clocks may be apart.
const (
	clockWarn = 5 * time.Second
	clockFail = time.Minute
)

// clock compares this machine's clock with another's reading of just now.
func (m Machine) clock(r *Report, whose string, theirs time.Time, margin time.Duration) {
	m.skew(r, "this machine", whose, m.Now().Sub(theirs), margin)
}

// skew judges by how much one clock is ahead of another.
func (m Machine) skew(r *Report, one, other string, ahead, margin time.Duration) {
	apart := ahead.Abs()
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	level := OK
	switch {
	case apart > clockFail:
		level = Fail
	case apart > clockWarn+margin:
		level = Warn
	}
	if level == OK {
		r.ok(CheckClock, "the clock of %s agrees with %s", one, other)
		return
	}
	r.add(CheckClock, level, fmt.Sprintf("the clock of %s is %s %s %s", one, apart.Round(time.Second), direction, other),
		"receivers refuse signatures whose time is off by minutes, retries come too early or too late, and retention counts wrong",
		"set both by NTP: timedatectl set-ntp true; chronyc tracking shows how far it is off")
}
