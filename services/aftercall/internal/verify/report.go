package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// kept is how many offenders of one kind are named.
const kept = 5

// Violation is one way in which an invariant does not hold.
type Violation struct {
	// Invariant is I1, I2 and so on.
	Invariant string
	// What is wrong.
	What string
	// Count of offenders, and the first of them.
	Count int
	First []string
}

func (v Violation) String() string {
	more := ""
	if v.Count > len(v.First) {
		more = ", …"
	}
	return fmt.Sprintf("%s: %s: %d (%s%s)", v.Invariant, v.What, v.Count, strings.Join(v.First, ", "), more)
}

// Report is the verdict on a run.
type Report struct {
	Violations []Violation

	// CDRs acknowledged, and what became of them. The router has yet to come to
	// Unrouted ones.
	CDRs, Events, Duplicates, Rejections, Unrouted int
	// Acknowledged are those of a producer's log; Elsewhere are those of it that are
	// not of the span.
	Acknowledged, Elsewhere int
	// Deliveries by the state in which history leaves them.
	Deliveries, Delivered, GivenUp, Stopped, Waiting, Queued int
	// NextDue and LastDue are when the first and the last of those that wait are
	// due, where that is known.
	NextDue, LastDue time.Time
	// Overdue are those of them that should have been sent before the look.
	Overdue int
	// Attempts on record, Deferrals on record.
	Attempts, Deferrals int
	// Requests at the receivers; Repeats of them had been made before; Unrecorded
	// have no attempt; of Unsigned the signature could not be checked.
	Requests, Repeats, Unrecorded, Unsigned int
	// Newer records are of a kind or version that this program does not know.
	Newer int
}

// wait notes when something that waits is due.
func (r *Report) wait(due time.Time) {
	if due.IsZero() {
		return
	}
	if r.NextDue.IsZero() || due.Before(r.NextDue) {
		r.NextDue = due
	}
	if due.After(r.LastDue) {
		r.LastDue = due
	}
}

// Err is nil when every invariant holds.
func (r *Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	lines := make([]string, 0, len(r.Violations)+1)
	for _, v := range r.Violations {
		lines = append(lines, v.String())
	}
	return errors.New(strings.Join(append(lines, r.String()), "\n"))
}

// Violates says whether an invariant is among those that do not hold.
func (r *Report) Violates(invariant string) bool {
	for _, v := range r.Violations {
		if v.Invariant == invariant {
			return true
		}
	}
	return false
}

func (r *Report) String() string {
	return fmt.Sprintf("%d CDRs → %d events (%d duplicates), %d rejections; %d deliveries: %d delivered, %d given up, %d stopped, %d waiting, %d queued; %d attempts, %d deferrals; %d requests, %d repeated, %d unrecorded",
		r.CDRs, r.Events, r.Duplicates, r.Rejections, r.Deliveries, r.Delivered, r.GivenUp, r.Stopped, r.Waiting, r.Queued,
		r.Attempts, r.Deferrals, r.Requests, r.Repeats, r.Unrecorded)
}

// fault counts an offender.
func (r *Report) fault(invariant, what, offender string, args ...any) {
	offender = fmt.Sprintf(offender, args...)
	for i := range r.Violations {
		v := &r.Violations[i]
		if v.Invariant == invariant && v.What == what {
			v.Count++
			if len(v.First) < kept {
				v.First = append(v.First, offender)
			}
			return
		}
	}
	r.Violations = append(r.Violations, Violation{invariant, what, 1, []string{offender}})
}

// merge adds the report on another part of the same span.
func (r *Report) merge(o *Report) {
	for _, n := range []struct {
		sum *int
		add int
	}{
		{&r.CDRs, o.CDRs},
		{&r.Events, o.Events},
		{&r.Duplicates, o.Duplicates},
		{&r.Rejections, o.Rejections},
		{&r.Unrouted, o.Unrouted},
		{&r.Acknowledged, o.Acknowledged},
		{&r.Deliveries, o.Deliveries},
		{&r.Delivered, o.Delivered},
		{&r.GivenUp, o.GivenUp},
		{&r.Stopped, o.Stopped},
		{&r.Waiting, o.Waiting},
		{&r.Queued, o.Queued},
		{&r.Overdue, o.Overdue},
		{&r.Attempts, o.Attempts},
		{&r.Deferrals, o.Deferrals},
		{&r.Requests, o.Requests},
		{&r.Repeats, o.Repeats},
		{&r.Unrecorded, o.Unrecorded},
		{&r.Unsigned, o.Unsigned},
	} {
		*n.sum += n.add
	}
	// Each part sees all lines of the producers' logs.
	r.Elsewhere = o.Acknowledged + o.Elsewhere - r.Acknowledged
	// … and may come to the same unknown records.
	r.Newer = max(r.Newer, o.Newer)
	r.wait(o.NextDue)
	r.wait(o.LastDue)
	for _, v := range o.Violations {
		for i, offender := range v.First {
			r.fault(v.Invariant, v.What, "%s", offender)
			if i == len(v.First)-1 {
				r.count(v.Invariant, v.What, v.Count-len(v.First))
			}
		}
	}
}

// count adds offenders that are not named.
func (r *Report) count(invariant, what string, n int) {
	for i := range r.Violations {
		if v := &r.Violations[i]; v.Invariant == invariant && v.What == what {
			v.Count += n
		}
	}
}
