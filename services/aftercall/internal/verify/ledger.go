package verify

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// digest stands for a payload: byte for byte is compared by it, and no payload is
// kept.
type digest [16]byte

func sum(payload []byte) digest {
	s := sha256.Sum256(payload)
	return digest(s[:16])
}

// fate is what became of one CDR.
type fate struct {
	payload digest
	// there says that the record itself was seen.
	there    bool
	event    *event
	rejected bool
}

// event is what the events topic says of one CDR.
type event struct {
	id, eventType, call string
	at                  Position
	record              Position
	payload             digest
	duplicate           bool
	matched             []match
	stored              bool
}

type match struct{ subscription, delivery string }

// rejection is a record, or a range of them, that cannot be a CDR.
type rejection struct {
	at     Position
	last   int64
	record Position
}

// attempt is what the history says of one try.
type attempt struct {
	id, event, subscription, call string
	n, status                     int32
	result                        aftercallv1.Attempt_Result
	state                         aftercallv1.DeliveryState
	// next is when the next one is due, zero when none is.
	started, next time.Time
	took          time.Duration
	record        Position
	stored        bool
}

// delivery is all that the records and the receivers say of one delivery.
type delivery struct {
	id, event, subscription string
	// decided, queued and givenUp say where it was seen: as a decision of an event,
	// in deliveries, in given-up.
	decided, queued, givenUp bool
	// delayed is the highest attempt for which it lies in a delay topic.
	delayed int32
	// asked for by somebody: no event decided on it.
	asked     bool
	webhookID string
	payload   digest
	// last is where its last record on its way stands.
	last Position
	// Of the records on its way that no group has finished: whether one is queued,
	// and when the last of those that wait is due.
	unfinished bool
	due        time.Time

	// stored says that the store has it.
	stored    bool
	firstSeen time.Time
	attempts  []attempt
	deferrals int
	requests  []request
}

// ledger is what the records and the receivers' logs say, without any payload.
// Records may come in any order, requests after all records.
type ledger struct {
	cdrs       map[Position]*fate
	events     []*event
	byID       map[string]*event
	rejections []*rejection
	deliveries map[string]*delivery
	// order of the deliveries' first appearance, so that reports are stable.
	order    []*delivery
	upstream map[string]bool
	commits  Commits
	subs     map[string]*subscriptionNotes
	// newer counts records of a kind or version that this program does not know.
	newer int
	// When the events occurred, and the rejected CDRs were refused.
	occurred, refused extent

	// inScope, where it is set, says which CDRs are judged; what is of others is
	// left out.
	inScope func(Position) bool
}

func newLedger(commits Commits) *ledger {
	l := &ledger{
		cdrs: map[Position]*fate{}, byID: map[string]*event{}, deliveries: map[string]*delivery{},
		upstream: map[string]bool{}, commits: commits, subs: map[string]*subscriptionNotes{},
	}
	for _, s := range topic.All() {
		l.upstream[s.Name] = s.Upstream
	}
	return l
}

func positionOf(p *aftercallv1.Position) Position {
	return Position{p.GetTopic(), p.GetPartition(), p.GetOffset()}
}

func placeOf(r *kgo.Record) Position { return Position{r.Topic, r.Partition, r.Offset} }

func (l *ledger) fate(at Position) *fate {
	f := l.cdrs[at]
	if f == nil {
		f = &fate{}
		l.cdrs[at] = f
	}
	return f
}

func (l *ledger) delivery(id string) *delivery {
	d := l.deliveries[id]
	if d == nil {
		d = &delivery{id: id}
		l.deliveries[id] = d
		l.order = append(l.order, d)
	}
	return d
}

// knows says whether what is said of an event is judged.
func (l *ledger) knows(eventID string) bool { return l.inScope == nil || l.byID[eventID] != nil }

// same returns the string that is kept already when s equals it: strings of
// millions of records are kept once.
func same(s string, kept ...string) string {
	for _, k := range kept {
		if s == k {
			return k
		}
	}
	return s
}

// record takes in one record. What this build cannot read is counted: a newer one
// knows what becomes of it.
func (l *ledger) record(r *kgo.Record) {
	at := placeOf(r)
	if l.upstream[r.Topic] {
		f := l.fate(at)
		f.payload, f.there = sum(r.Value), true
		return
	}
	opened, err := record.Open(r)
	if err != nil {
		if errors.Is(err, record.ErrUnknownVersion) && record.Kind(r) != "" {
			l.newer++
		}
		return
	}
	switch v := opened.(type) {
	case *aftercallv1.Event:
		l.event(at, v)
	case *aftercallv1.Rejection:
		if position := positionOf(v.GetPosition()); l.inScope == nil || l.inScope(position) {
			l.refused.add(v.GetRejectedAt().AsTime())
			l.rejections = append(l.rejections, &rejection{at: position, last: max(position.Offset, v.GetLastOffset()), record: at})
		}
	case *aftercallv1.Delivery:
		l.way(r, v)
	case *aftercallv1.Attempt:
		if l.knows(v.GetEventId()) || l.deliveries[v.GetDeliveryId()] != nil {
			l.attempt(at, v)
		}
	case *aftercallv1.Deferral:
		if l.knows(v.GetEventId()) || l.deliveries[v.GetDeliveryId()] != nil {
			l.delivery(v.GetDeliveryId()).deferrals++
		}
	case *aftercallv1.Subscription:
		// A test that has something sent at once says so itself (Run.SentNow).
		if l.inScope != nil {
			l.subscription(r, v)
		}
	}
}

func (l *ledger) event(at Position, v *aftercallv1.Event) {
	position := positionOf(v.GetPosition())
	if l.inScope != nil && !l.inScope(position) {
		return
	}
	e := &event{
		id: v.GetEventId(), eventType: v.GetEventType(), call: v.GetCallId(), at: position, record: at,
		payload: sum(v.GetPayload()), duplicate: v.GetDuplicateOf() != nil,
	}
	for _, decision := range v.GetDecisions() {
		if decision.GetOutcome() == aftercallv1.Decision_OUTCOME_MATCHED {
			e.matched = append(e.matched, match{decision.GetSubscriptionId(), decision.GetDeliveryId()})
		}
	}
	l.occurred.add(v.GetOccurredAt().AsTime())
	l.events = append(l.events, e)
	if first := l.byID[e.id]; first == nil || first.duplicate {
		l.byID[e.id] = e
	}
	if e.duplicate {
		return
	}
	for i := range e.matched {
		d := l.delivery(e.matched[i].delivery)
		d.event, d.subscription, d.decided = e.id, e.matched[i].subscription, true
	}
}

// way takes in a record of a delivery on its way: queued, waiting or given up.
func (l *ledger) way(r *kgo.Record, v *aftercallv1.Delivery) {
	// A delivery of no event that is known is another span's, unless it names one
	// of the CDRs that are judged.
	if !l.knows(v.GetEventId()) && !l.inScope(positionOf(v.GetPosition())) {
		return
	}
	d := l.delivery(v.GetDeliveryId())
	d.event, d.subscription = same(v.GetEventId(), d.event), same(v.GetSubscriptionId(), d.subscription)
	d.webhookID, d.payload = v.GetWebhookId(), sum(v.GetPayload())
	d.asked = v.GetCause() == aftercallv1.Cause_CAUSE_RESEND || v.GetCause() == aftercallv1.Cause_CAUSE_REPLAY
	d.last, d.firstSeen = placeOf(r), v.GetFirstQueuedAt().AsTime()
	switch {
	case r.Topic == topic.Deliveries:
		d.queued = true
		if !l.commits.finished(topic.GroupSender, d.last) {
			d.unfinished = true
		}
	case r.Topic == topic.GivenUp:
		d.givenUp = true
	case record.Dwell(r.Topic) > 0:
		d.delayed = max(d.delayed, v.GetAttempt())
		if !l.commits.finished(topic.GroupMover, d.last) {
			d.unfinished, d.due = true, r.Timestamp.Add(record.Dwell(r.Topic))
		}
		l.waits(d, r, v)
	}
}

func (l *ledger) attempt(at Position, v *aftercallv1.Attempt) {
	d := l.delivery(v.GetDeliveryId())
	call := v.GetCallId()
	if e := l.byID[v.GetEventId()]; e != nil {
		call = same(call, e.call)
	}
	a := attempt{
		id: v.GetAttemptId(), event: same(v.GetEventId(), d.event), subscription: same(v.GetSubscriptionId(), d.subscription), call: call,
		n: v.GetAttempt(), status: v.GetHttpStatus(), result: v.GetResult(), state: v.GetState(), started: v.GetStartedAt().AsTime(),
		took: v.GetTimings().GetTotal().AsDuration(), record: at,
	}
	if v.GetNextAttemptAt() != nil {
		a.next = v.GetNextAttemptAt().AsTime()
	}
	d.attempts = append(d.attempts, a)
}

// Order of states, the strongest last.
var rank = map[aftercallv1.DeliveryState]int{
	aftercallv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED: 0,
	aftercallv1.DeliveryState_DELIVERY_STATE_QUEUED:      1,
	aftercallv1.DeliveryState_DELIVERY_STATE_WAITING:     2,
	aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED:     3,
	aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP:    3,
	aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED:   4,
}

// state is where history leaves a delivery: whatever happened later counts for
// less than its end.
func (d *delivery) state() aftercallv1.DeliveryState {
	state := aftercallv1.DeliveryState_DELIVERY_STATE_QUEUED
	at := int32(-1)
	if d.deferrals > 0 {
		state = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
	}
	for i := range d.attempts {
		a := &d.attempts[i]
		if r, have := rank[a.state], rank[state]; r > have || r == have && a.n > at {
			state, at = a.state, a.n
		}
	}
	return state
}

func (d *delivery) ended() bool { return rank[d.state()] > 2 }

// lastAttempt is the highest attempt on record.
func (d *delivery) lastAttempt() int32 {
	last := int32(0)
	for i := range d.attempts {
		last = max(last, d.attempts[i].n)
	}
	return last
}
