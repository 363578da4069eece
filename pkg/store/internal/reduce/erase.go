package reduce

import (
	"github.com/aftercall/aftercall/pkg/store"
)

// Erase takes out of the rows what was erased, so that projecting again, or late,
// does not bring it back. It answers the events that fell to an erasure only now.
func (r *Rows) Erase(known *store.Erased) []store.ErasedEvent {
	if known.None() {
		return nil
	}
	var fresh []store.ErasedEvent
	batch := map[string]bool{}
	for i := range r.Events {
		e := &r.Events[i]
		by := known.Event(e.EventID)
		if by == "" {
			if by = known.Record(e.Payload, e.OccurredAt, e.CallID, e.ScenarioID, e.ParentID, e.CeID, e.Source); by == "" {
				continue
			}
			fresh = append(fresh, store.ErasedEvent{EventID: e.EventID, Erasure: by, At: e.OccurredAt, CallID: e.CallID, ScenarioID: e.ScenarioID, ParentID: e.ParentID})
		}
		batch[e.EventID] = true
		e.Payload, e.Detail = nil, store.EventWithout(e.Detail)
		for _, id := range []*string{&e.CallID, &e.ScenarioID, &e.ParentID, &e.CeID, &e.Source} {
			*id = known.Alias(*id, e.OccurredAt)
		}
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		d.CallID = known.Alias(d.CallID, firstTime(d.OccurredAt, d.QueuedAt))
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		by, happened := known.Attempt(a.EventID, a.CallID, a.Detail, a.StartedAt)
		if by != "" || batch[a.EventID] {
			a.Detail, _ = known.AttemptWithout(a.Detail, happened)
			a.CallID = known.Alias(a.CallID, happened)
		}
	}
	for i := range r.Rejections {
		j := &r.Rejections[i]
		if known.Record(j.Payload, firstTime(j.ProducedAt, j.RejectedAt), store.CallIDs(j.Payload)...) != "" {
			j.Payload = []byte{}
		}
	}
	return fresh
}
