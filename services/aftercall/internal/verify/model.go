package verify

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// position is where a record stands.
type position struct {
	topic     string
	partition int32
	offset    int64
}

func positionOf(p *aftercallv1.Position) position {
	return position{p.GetTopic(), p.GetPartition(), p.GetOffset()}
}

// try is one attempt of one delivery.
type try struct {
	delivery string
	attempt  int
}

// delivery is all that the records and the receivers say of one delivery.
type delivery struct {
	event, subscription string
	// decided, queued and givenUp say where it was seen: as a decision of an event,
	// in deliveries, in given-up.
	decided, queued, givenUp bool
	// delayed is the highest attempt for which it lies in a delay topic.
	delayed int32
	// asked for by somebody: no event decided on it.
	asked     bool
	webhookID string
	payload   []byte

	attempts  []*aftercallv1.Attempt
	deferrals []*aftercallv1.Deferral
	requests  []*request
}

// request is one request as a receiver logged it.
type request struct {
	*listen.Entry
	try try
}

// model is what the records say.
type model struct {
	cdrs       map[position][]byte
	events     []*aftercallv1.Event
	byID       map[string]*aftercallv1.Event
	rejections []*aftercallv1.Rejection
	deliveries map[string]*delivery
	// order of the deliveries' first appearance, so that reports are stable.
	order []string
	tries map[try]*tried
}

// tried is what both sides say of one attempt.
type tried struct {
	records  []*aftercallv1.Attempt
	requests []*request
}

func (m *model) delivery(id string) *delivery {
	d := m.deliveries[id]
	if d == nil {
		d = &delivery{}
		m.deliveries[id] = d
		m.order = append(m.order, id)
	}
	return d
}

func (m *model) try(t try) *tried {
	x := m.tries[t]
	if x == nil {
		x = &tried{}
		m.tries[t] = x
	}
	return x
}

// read builds the model. Records that this build cannot read are left out: what
// becomes of them is for the test that made them.
func read(run *Run) *model {
	m := &model{
		cdrs: map[position][]byte{}, byID: map[string]*aftercallv1.Event{},
		deliveries: map[string]*delivery{}, tries: map[try]*tried{},
	}
	upstream := map[string]bool{}
	for _, s := range topic.All() {
		upstream[s.Name] = s.Upstream
	}
	for _, c := range run.Acknowledged {
		upstream[c.Topic] = true
	}
	for _, r := range run.Records {
		if upstream[r.Topic] {
			m.cdrs[position{r.Topic, r.Partition, r.Offset}] = r.Value
			continue
		}
		m.record(r)
	}
	for i := range run.Requests {
		e := &run.Requests[i]
		attempt, _ := strconv.Atoi(e.Attempt)
		q := &request{e, try{e.DeliveryID, attempt}}
		t := m.try(q.try)
		t.requests = append(t.requests, q)
		if d, ok := m.deliveries[e.DeliveryID]; ok {
			d.requests = append(d.requests, q)
		}
	}
	return m
}

func (m *model) record(r *kgo.Record) {
	opened, err := record.Open(r)
	if err != nil {
		return
	}
	switch v := opened.(type) {
	case *aftercallv1.Event:
		m.events = append(m.events, v)
		if first := m.byID[v.GetEventId()]; first == nil || first.GetDuplicateOf() != nil {
			m.byID[v.GetEventId()] = v
		}
		if v.GetDuplicateOf() != nil {
			return
		}
		for _, decision := range v.GetDecisions() {
			if decision.GetOutcome() == aftercallv1.Decision_OUTCOME_MATCHED {
				d := m.delivery(decision.GetDeliveryId())
				d.event, d.subscription, d.decided = v.GetEventId(), decision.GetSubscriptionId(), true
			}
		}
	case *aftercallv1.Rejection:
		m.rejections = append(m.rejections, v)
	case *aftercallv1.Delivery:
		d := m.delivery(v.GetDeliveryId())
		d.event, d.subscription, d.webhookID, d.payload = v.GetEventId(), v.GetSubscriptionId(), v.GetWebhookId(), v.GetPayload()
		d.asked = v.GetCause() == aftercallv1.Cause_CAUSE_RESEND || v.GetCause() == aftercallv1.Cause_CAUSE_REPLAY
		switch {
		case r.Topic == topic.Deliveries:
			d.queued = true
		case r.Topic == topic.GivenUp:
			d.givenUp = true
		case record.Dwell(r.Topic) > 0:
			d.delayed = max(d.delayed, v.GetAttempt())
		}
	case *aftercallv1.Attempt:
		d := m.delivery(v.GetDeliveryId())
		d.attempts = append(d.attempts, v)
		t := m.try(try{v.GetDeliveryId(), int(v.GetAttempt())})
		t.records = append(t.records, v)
	case *aftercallv1.Deferral:
		d := m.delivery(v.GetDeliveryId())
		d.deferrals = append(d.deferrals, v)
	}
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
	if len(d.deferrals) > 0 {
		state = aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
	}
	for _, a := range d.attempts {
		if r, have := rank[a.GetState()], rank[state]; r > have || r == have && a.GetAttempt() > at {
			state, at = a.GetState(), a.GetAttempt()
		}
	}
	return state
}

// lastAttempt is the highest attempt on record.
func (d *delivery) lastAttempt() int32 {
	last := int32(0)
	for _, a := range d.attempts {
		last = max(last, a.GetAttempt())
	}
	return last
}
