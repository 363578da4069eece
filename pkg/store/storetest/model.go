package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Model is what must be in the store after a feed.
type Model struct {
	// Deliveries by id: the fields that the rules speak of.
	Deliveries map[string]ModelDelivery
	// Attempts are the ids of all attempts, newest first.
	Attempts []string
	// Events by id: the number of further records of it.
	Events map[string]int
	// Decisions by event id: the number of decisions on its first record.
	Decisions  map[string]int
	Rejections int
	Changes    int
	// Delivered and Failed by subscription, tests left out.
	Delivered, Failed map[string]int64
}

// ModelDelivery is where a delivery must stand.
type ModelDelivery struct {
	EventID, SubscriptionID, State, Reason, LastAttemptID, Result, RequestedBy string
	Attempt                                                                    int32
	Next                                                                       time.Time
}

// claim is what one record says of a delivery.
type claim struct {
	rank, made, putOff, deferrals int32
	at                            time.Time
	id                            string
	state, reason                 string
	next                          time.Time
	attempt                       *aftercallv1.Attempt
}

// ModelOf computes the model of a feed, the slow way.
func ModelOf(rs []Record) Model {
	m := Model{
		Deliveries: map[string]ModelDelivery{}, Events: map[string]int{}, Decisions: map[string]int{},
		Delivered: map[string]int64{}, Failed: map[string]int64{},
	}
	claims := map[string][]claim{}
	about := map[string]ModelDelivery{}
	say := func(delivery, event, sub, by string, c claim) {
		claims[delivery] = append(claims[delivery], c)
		d := about[delivery]
		d.EventID, d.SubscriptionID = event, sub
		if by != "" {
			d.RequestedBy = by
		}
		about[delivery] = d
	}
	positions := map[string]map[store.Position]bool{}
	attempts := map[string]*aftercallv1.Attempt{}
	rejections, changes := map[store.Position]bool{}, map[string]bool{}
	for _, r := range rs {
		switch {
		case r.Event != nil:
			e := r.Event
			p := store.Position{Topic: e.GetPosition().GetTopic(), Partition: e.GetPosition().GetPartition(), Offset: e.GetPosition().GetOffset()}
			if positions[e.EventId] == nil {
				positions[e.EventId] = map[store.Position]bool{}
			}
			positions[e.EventId][p] = true
			if e.DuplicateOf != nil {
				break
			}
			m.Decisions[e.EventId] = len(e.Decisions)
			for _, d := range e.Decisions {
				if d.Outcome == aftercallv1.Decision_OUTCOME_MATCHED {
					say(d.DeliveryId, e.EventId, d.SubscriptionId, "", claim{rank: 1, state: "queued", at: e.RoutedAt.AsTime()})
				}
			}
		case r.Requested != nil:
			q := r.Requested
			say(q.DeliveryId, q.EventId, q.SubscriptionId, q.By, claim{rank: 1, state: "queued", at: q.FirstQueuedAt.AsTime()})
		case r.Attempt != nil:
			a := r.Attempt.Attempt
			attempts[a.AttemptId] = a
			c := claim{made: a.Attempt, deferrals: a.Deferrals, at: a.StartedAt.AsTime(), id: a.AttemptId, attempt: a, reason: a.Reason}
			if c.reason == "" {
				c.reason = a.StateReason
			}
			c.state = map[aftercallv1.DeliveryState]string{2: "waiting", 3: "delivered", 4: "given_up", 5: "stopped"}[a.State]
			c.rank = map[string]int32{"waiting": 2, "given_up": 3, "stopped": 3, "delivered": 4}[c.state]
			if a.NextAttemptAt != nil {
				c.next = a.NextAttemptAt.AsTime()
			}
			say(a.DeliveryId, a.EventId, a.SubscriptionId, "", c)
		case r.Deferral != nil:
			d := r.Deferral.Deferral
			say(d.DeliveryId, d.EventId, d.SubscriptionId, "", claim{
				rank: 2, made: d.Attempt - 1, putOff: 1, deferrals: d.Deferrals, at: d.At.AsTime(), id: d.Sender,
				state: "waiting", reason: d.Reason, next: d.Until.AsTime(),
			})
		case r.Rejection != nil:
			p := r.Rejection.GetPosition()
			rejections[store.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset}] = true
		case r.Change != nil:
			changes[r.Change.ChangeId] = true
		}
	}
	m.Rejections, m.Changes = len(rejections), len(changes)
	for id, ps := range positions {
		m.Events[id] = len(ps) - 1
	}
	for id, cs := range claims {
		d := about[id]
		last := slices.MaxFunc(cs, compareClaims)
		d.State, d.Reason, d.Next = last.state, last.reason, last.next.Truncate(time.Microsecond)
		cs = slices.DeleteFunc(slices.Clone(cs), func(c claim) bool { return c.attempt == nil })
		if len(cs) > 0 {
			a := slices.MaxFunc(cs, compareClaims).attempt
			d.LastAttemptID, d.Attempt = a.AttemptId, a.Attempt
			d.Result = map[aftercallv1.Attempt_Result]string{1: "delivered", 2: "failed", 3: "not_sent"}[a.Result]
		}
		m.Deliveries[id] = d
	}
	var all []*aftercallv1.Attempt
	for _, a := range attempts {
		all = append(all, a)
		switch a.Result {
		case aftercallv1.Attempt_RESULT_DELIVERED:
			m.Delivered[a.SubscriptionId]++
		case aftercallv1.Attempt_RESULT_FAILED:
			m.Failed[a.SubscriptionId]++
		}
	}
	slices.SortFunc(all, func(a, b *aftercallv1.Attempt) int {
		if c := b.StartedAt.AsTime().Compare(a.StartedAt.AsTime()); c != 0 {
			return c
		}
		return strings.Compare(b.AttemptId, a.AttemptId)
	})
	for _, a := range all {
		m.Attempts = append(m.Attempts, a.AttemptId)
	}
	return m
}

func compareClaims(a, b claim) int {
	for _, d := range []int32{a.rank - b.rank, a.made - b.made, a.putOff - b.putOff, a.deferrals - b.deferrals} {
		if d != 0 {
			return int(d)
		}
	}
	if c := a.at.Compare(b.at); c != 0 {
		return c
	}
	return strings.Compare(a.id, b.id)
}
