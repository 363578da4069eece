package verify

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// subscriptionNotes are what the subscriptions topic says that matters here.
type subscriptionNotes struct {
	name string
	// since is when the first version that is still there was published, latest
	// when the last one was.
	since, latest time.Time
	// plain says that every version sends the CDR itself.
	plain bool
	// released is up to where what waited was sent at once.
	released map[Position]int64
	// early are the attempts that a record in a delay topic put off and that may
	// have been sent at once, by delivery.
	early map[string][]lying
}

// lying is a record in a delay topic.
type lying struct {
	attempt int32
	at      Position
	since   time.Time
}

func (l *ledger) notes(id string) *subscriptionNotes {
	n := l.subs[id]
	if n == nil {
		n = &subscriptionNotes{plain: true, released: map[Position]int64{}, early: map[string][]lying{}}
		l.subs[id] = n
	}
	return n
}

func (l *ledger) subscription(r *kgo.Record, v *aftercallv1.Subscription) {
	n := l.notes(v.GetId())
	if n.since.IsZero() {
		n.since = r.Timestamp
	}
	n.name, n.latest = v.GetName(), r.Timestamp
	n.plain = n.plain && (v.GetFormat() == "" || v.GetFormat() == "cdr")
	for _, p := range v.GetReleased() {
		at := Position{Topic: p.GetTopic(), Partition: p.GetPartition()}
		n.released[at] = max(n.released[at], p.GetOffset())
	}
}

// waits notes a record in a delay topic whose attempt may rightly come early:
// "send waiting now" was asked for it, or may be under way, since the subscription
// was changed after it began to wait. Subscriptions must have been taken in.
func (l *ledger) waits(d *delivery, r *kgo.Record, v *aftercallv1.Delivery) {
	n := l.subs[d.subscription]
	if n == nil {
		return
	}
	at := placeOf(r)
	if n.latest.After(r.Timestamp) || at.Offset < n.released[Position{Topic: at.Topic, Partition: at.Partition}] {
		n.early[d.id] = append(n.early[d.id], lying{v.GetAttempt(), at, r.Timestamp})
	}
}

// maySendEarly says whether an attempt may rightly have come before it was due.
func (l *ledger) maySendEarly(d *delivery, n int32, started time.Time) bool {
	notes := l.subs[d.subscription]
	if notes == nil {
		return false
	}
	return slices.ContainsFunc(notes.early[d.id], func(w lying) bool {
		released := w.at.Offset < notes.released[Position{Topic: w.at.Topic, Partition: w.at.Partition}]
		underway := notes.latest.After(w.since) && started.After(notes.latest)
		return w.attempt == n && (released || underway)
	})
}
