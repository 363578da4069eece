package reduce

import (
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

// Ranks of delivery states: a higher one wins, whatever came later.
const (
	rankQueued    = 1
	rankWaiting   = 2
	rankEnded     = 3
	rankDelivered = 4
)

func rankOf(state string) int32 {
	switch state {
	case store.StateDelivered:
		return rankDelivered
	case store.StateGivenUp, store.StateStopped:
		return rankEnded
	case store.StateWaiting:
		return rankWaiting
	case store.StateQueued:
		return rankQueued
	}
	return 0
}

// Event is a row of events and of payloads.
type Event struct {
	EventID, Tenant, Source, EventType, CeID, CallID, ScenarioID, ParentID, OUPath, Cause string
	OccurredAt, ProducedAt, RoutedAt                                                      time.Time
	Duplicate, Matched                                                                    int32
	PayloadBytes                                                                          int
	Position                                                                              store.Position
	Detail, Payload                                                                       []byte
}

// Before says that of two records of one event e is the one to keep: a first
// one before a repeat, then the earlier one.
func (e *Event) Before(o *Event) bool {
	switch {
	case e.Duplicate != o.Duplicate:
		return e.Duplicate < o.Duplicate
	case !e.RoutedAt.Equal(o.RoutedAt):
		return e.RoutedAt.Before(o.RoutedAt)
	}
	return positionLess(e.Position, o.Position)
}

func positionLess(a, b store.Position) bool {
	switch {
	case a.Topic != b.Topic:
		return a.Topic < b.Topic
	case a.Partition != b.Partition:
		return a.Partition < b.Partition
	}
	return a.Offset < b.Offset
}

// Repeat is a row of event_repeats.
type Repeat struct {
	EventID  string
	Position store.Position
}

// Meet compares the events with the records of them that the store has: of two
// records of one event the one that is not kept is a repeat. It answers the
// events that will be kept.
func (r *Rows) Meet(known map[string]Event) []*Event {
	kept := make([]*Event, 0, len(r.Events))
	for i := range r.Events {
		e := &r.Events[i]
		old, there := known[e.EventID]
		wins := !there || e.Before(&old)
		if wins {
			kept = append(kept, e)
		}
		if there && old.Position != e.Position {
			loser := e.Position
			if wins {
				loser = old.Position
			}
			r.Repeats = append(r.Repeats, Repeat{e.EventID, loser})
		}
	}
	return kept
}

func (r Repeat) less(o Repeat) bool {
	if r.EventID != o.EventID {
		return r.EventID < o.EventID
	}
	return positionLess(r.Position, o.Position)
}

// Decision is a row of event_decisions: of those that did not match.
type Decision struct {
	EventID, SubscriptionID string
	Version                 int64
	Outcome                 string
	OccurredAt              time.Time
}

type decisionKey struct {
	event, subscription string
	version             int64
	outcome             string
}

func (d *Decision) key() decisionKey {
	return decisionKey{d.EventID, d.SubscriptionID, d.Version, d.Outcome}
}

func (k decisionKey) less(o decisionKey) bool {
	if c := strings.Compare(k.event, o.event); c != 0 {
		return c < 0
	}
	if c := strings.Compare(k.subscription, o.subscription); c != 0 {
		return c < 0
	}
	if k.version != o.version {
		return k.version < o.version
	}
	return k.outcome < o.outcome
}

// Delivery is what records say of one delivery. The fields from State on change
// together, ordered by (Rank, Made, PutOff, Deferrals, UpdatedAt, UpdatedBy);
// those from LastRank on by (LastRank, Number, LastAttemptAt, LastAttemptID).
type Delivery struct {
	DeliveryID, EventID, SubscriptionID, Tenant, EventType, CallID, Cause, RequestID, RequestedBy string
	OccurredAt, QueuedAt                                                                          time.Time
	// Routed says that the record that begins it is among those of the batch.
	Routed bool

	State, Reason string
	NextAttemptAt time.Time
	Rank          int32
	// Made counts the attempts behind it; PutOff is 1 when it was put off after
	// them.
	Made, PutOff, Deferrals int32
	UpdatedAt               time.Time
	UpdatedBy               string

	LastRank, Number     int32
	LastAttemptAt        time.Time
	LastAttemptID        string
	AttemptsAllowed      int32
	Result, ErrorClass   string
	HTTPStatus           int32
	CallEndToDeliveredMS *int64
}

func (d *Delivery) merge(o *Delivery) {
	fill := func(mine *string, theirs string) {
		if *mine == "" {
			*mine = theirs
		}
	}
	fill(&d.EventID, o.EventID)
	fill(&d.SubscriptionID, o.SubscriptionID)
	fill(&d.Tenant, o.Tenant)
	fill(&d.EventType, o.EventType)
	fill(&d.CallID, o.CallID)
	fill(&d.Cause, o.Cause)
	fill(&d.RequestID, o.RequestID)
	fill(&d.RequestedBy, o.RequestedBy)
	d.Routed = d.Routed || o.Routed
	if d.OccurredAt.IsZero() {
		d.OccurredAt = o.OccurredAt
	}
	if o.QueuedAt.Before(d.QueuedAt) {
		d.QueuedAt = o.QueuedAt
	}
	if o.later(d) {
		d.State, d.Reason, d.NextAttemptAt = o.State, o.Reason, o.NextAttemptAt
		d.Rank, d.Made, d.PutOff, d.Deferrals, d.UpdatedAt, d.UpdatedBy = o.Rank, o.Made, o.PutOff, o.Deferrals, o.UpdatedAt, o.UpdatedBy
	}
	if o.laterAttempt(d) {
		d.LastRank, d.Number, d.LastAttemptAt, d.LastAttemptID = o.LastRank, o.Number, o.LastAttemptAt, o.LastAttemptID
		d.AttemptsAllowed, d.Result, d.ErrorClass, d.HTTPStatus = o.AttemptsAllowed, o.Result, o.ErrorClass, o.HTTPStatus
		d.CallEndToDeliveredMS = o.CallEndToDeliveredMS
	}
}

func (d *Delivery) later(o *Delivery) bool {
	switch {
	case d.Rank != o.Rank:
		return d.Rank > o.Rank
	case d.Made != o.Made:
		return d.Made > o.Made
	case d.PutOff != o.PutOff:
		return d.PutOff > o.PutOff
	case d.Deferrals != o.Deferrals:
		return d.Deferrals > o.Deferrals
	case !d.UpdatedAt.Equal(o.UpdatedAt):
		return d.UpdatedAt.After(o.UpdatedAt)
	}
	return d.UpdatedBy > o.UpdatedBy
}

func (d *Delivery) laterAttempt(o *Delivery) bool {
	switch {
	case d.LastRank != o.LastRank:
		return d.LastRank > o.LastRank
	case d.Number != o.Number:
		return d.Number > o.Number
	case !d.LastAttemptAt.Equal(o.LastAttemptAt):
		return d.LastAttemptAt.After(o.LastAttemptAt)
	}
	return d.LastAttemptID > o.LastAttemptID
}

// Attempt is a row of attempts.
type Attempt struct {
	AttemptID, DeliveryID, EventID, SubscriptionID, EventType, CallID, Cause string
	Number, AttemptsAllowed                                                  int32
	StartedAt                                                                time.Time
	Result, ErrorClass                                                       string
	HTTPStatus                                                               int32
	DurationMS                                                               int64
	CallEndToDeliveredMS                                                     *int64
	NextAttemptAt                                                            time.Time
	State, Reason                                                            string
	Bucket                                                                   int32
	RecordedAt                                                               time.Time
	Record                                                                   store.Position
	Detail                                                                   []byte
}

// Deferral is a row of deferrals.
type Deferral struct {
	DeliveryID             string
	Number, Deferrals      int32
	At                     time.Time
	SubscriptionID, Reason string
	Until                  time.Time
	Sender                 string
}

type deferralKey struct {
	delivery          string
	number, deferrals int32
	at                int64
}

func (d *Deferral) key() deferralKey {
	return deferralKey{d.DeliveryID, d.Number, d.Deferrals, d.At.UnixMicro()}
}

func (k deferralKey) less(o deferralKey) bool {
	switch {
	case k.delivery != o.delivery:
		return k.delivery < o.delivery
	case k.number != o.number:
		return k.number < o.number
	case k.deferrals != o.deferrals:
		return k.deferrals < o.deferrals
	}
	return k.at < o.at
}

// Rejection is a row of rejections.
type Rejection struct {
	ID                                     string
	Position                               store.Position
	LastOffset                             int64
	Code, Field, Reason, EventType, Tenant string
	Payload                                []byte
	Truncated                              bool
	PayloadBytes                           int64
	ProducedAt, RejectedAt                 time.Time
}

// Change is a row of endpoint_changes.
type Change struct {
	ChangeID, SubscriptionID string
	Version                  int64
	Kind, Reason             string
	At, Until                time.Time
	Sender                   string
}

// Endpoint is a row of endpoints: only requests that were made count.
type Endpoint struct {
	SubscriptionID               string
	LastAttemptAt                time.Time
	LastAttemptID                string
	LastSuccessAt, LastFailureAt time.Time
}

func (e *Endpoint) merge(o *Endpoint) {
	if o.LastAttemptAt.After(e.LastAttemptAt) || o.LastAttemptAt.Equal(e.LastAttemptAt) && o.LastAttemptID > e.LastAttemptID {
		e.LastAttemptAt, e.LastAttemptID = o.LastAttemptAt, o.LastAttemptID
	}
	if o.LastSuccessAt.After(e.LastSuccessAt) {
		e.LastSuccessAt = o.LastSuccessAt
	}
	if o.LastFailureAt.After(e.LastFailureAt) {
		e.LastFailureAt = o.LastFailureAt
	}
}
