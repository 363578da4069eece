package verify

import (
	"bytes"
	"net/http"
	"slices"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Check evaluates the invariants.
func Check(run *Run) *Report {
	c := &checker{run: run, model: read(run), report: &Report{CDRs: len(run.Acknowledged), Requests: len(run.Requests)}}
	c.intake()
	c.routing()
	c.ends()
	c.answers()
	c.repeats()
	c.requests()
	c.due()
	if run.Store != nil {
		c.store()
	}
	return c.report
}

type checker struct {
	run    *Run
	model  *model
	report *Report
}

// intake is I1.
func (c *checker) intake() {
	events := map[position]string{}
	rejected := map[position]bool{}
	for _, e := range c.model.events {
		c.report.Events++
		if e.GetDuplicateOf() != nil {
			c.report.Duplicates++
		}
		at := positionOf(e.GetPosition())
		if first, twice := events[at]; twice && !(c.run.BrokerKilled && first == e.GetEventId()) {
			c.report.fault("I1", "a CDR became two events", "%v: %s, %s", at, first, e.GetEventId())
		}
		events[at] = e.GetEventId()
		if value, ok := c.model.cdrs[at]; !ok {
			c.report.fault("I1", "an event of no CDR", "%s at %v", e.GetEventId(), at)
		} else if !bytes.Equal(value, e.GetPayload()) {
			c.report.fault("I1", "an event whose payload is not the CDR's, byte for byte", "%s at %v", e.GetEventId(), at)
		}
	}
	for _, r := range c.model.rejections {
		at := positionOf(r.GetPosition())
		if _, ok := c.model.cdrs[at]; !ok {
			// Of an internal record: sender and projector reject damaged ones.
			continue
		}
		c.report.Rejections++
		if rejected[at] && !c.run.BrokerKilled {
			c.report.fault("I1", "a CDR was rejected twice", "%v", at)
		}
		for o := at.offset; o <= max(at.offset, r.GetLastOffset()); o++ {
			rejected[position{at.topic, at.partition, o}] = true
		}
		if _, ok := events[at]; ok {
			c.report.fault("I1", "a CDR is both an event and rejected", "%v", at)
		}
	}
	for _, cdr := range c.run.Acknowledged {
		at := position{cdr.Topic, cdr.Partition, cdr.Offset}
		if value, ok := c.model.cdrs[at]; !ok {
			c.report.fault("I1", "an acknowledged CDR is not in its topic", "%v", at)
		} else if !bytes.Equal(value, cdr.Value) {
			c.report.fault("I1", "an acknowledged CDR is another in its topic", "%v", at)
		}
		if _, ok := events[at]; !ok && !rejected[at] {
			c.report.fault("I1", "an acknowledged CDR is neither an event nor rejected", "%v", at)
		}
	}
}

// routing is I2, and what the test wanted to be routed.
func (c *checker) routing() {
	type pair struct{ event, subscription string }
	ids := map[pair]string{}
	matched := map[string][]string{}
	for _, e := range c.model.events {
		for _, d := range e.GetDecisions() {
			if d.GetOutcome() != aftercallv1.Decision_OUTCOME_MATCHED {
				continue
			}
			if e.GetDuplicateOf() != nil {
				c.report.fault("I2", "a recognised repeat has deliveries", "%s", e.GetEventId())
				continue
			}
			p := pair{e.GetEventId(), d.GetSubscriptionId()}
			if first, twice := ids[p]; twice && first != d.GetDeliveryId() {
				c.report.fault("I2", "an event has two delivery ids for one subscription", "%s, %s: %s, %s", p.event, p.subscription, first, d.GetDeliveryId())
			}
			ids[p] = d.GetDeliveryId()
			matched[e.GetEventId()] = append(matched[e.GetEventId()], d.GetSubscriptionId())
		}
	}
	for _, id := range c.model.order {
		d := c.model.deliveries[id]
		switch {
		case d.decided && !d.queued:
			c.report.fault("I2", "a matched delivery is not in the deliveries topic", "%s", id)
		case !d.decided && !d.asked:
			c.report.fault("I2", "a delivery that no event decided on", "%s", id)
		}
		if e := c.model.byID[d.event]; d.queued && e != nil && !bytes.Equal(d.payload, e.GetPayload()) {
			c.report.fault("I2", "a delivery whose payload is not its event's", "%s", id)
		}
	}
	if c.run.Wants == nil {
		return
	}
	at := map[position]string{}
	for _, e := range c.model.events {
		at[positionOf(e.GetPosition())] = e.GetEventId()
	}
	for _, cdr := range c.run.Acknowledged {
		event := at[position{cdr.Topic, cdr.Partition, cdr.Offset}]
		want, got := c.run.Wants(cdr), matched[event]
		for _, s := range want {
			if !slices.Contains(got, s) {
				c.report.fault("I2", "a CDR was not matched to a subscription that wants it", "%s/%d@%d, %s", cdr.Topic, cdr.Partition, cdr.Offset, s)
			}
		}
		for _, s := range got {
			if !slices.Contains(want, s) {
				c.report.fault("I2", "a CDR was matched to a subscription that does not want it", "%s/%d@%d, %s", cdr.Topic, cdr.Partition, cdr.Offset, s)
			}
		}
	}
}

// ends is I3 and I4.
func (c *checker) ends() {
	r := c.report
	for _, id := range c.model.order {
		d := c.model.deliveries[id]
		r.Deliveries++
		r.Attempts += len(d.attempts)
		r.Deferrals += len(d.deferrals)
		switch d.state() {
		case aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED:
			r.Delivered++
		case aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP:
			r.GivenUp++
			if !d.givenUp {
				r.fault("I3", "a delivery was given up, and is not in the given-up topic", "%s", id)
			}
		case aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED:
			r.Stopped++
		case aftercallv1.DeliveryState_DELIVERY_STATE_WAITING:
			r.Waiting++
			if d.delayed <= d.lastAttempt() {
				r.fault("I3", "a delivery waits, and its next attempt is in no delay topic", "%s", id)
			}
		default:
			r.Queued++
			if !c.run.Running {
				r.fault("I3", "a delivery neither ended nor waits, and nothing is running", "%s", id)
			}
		}
	}
	if ended := r.Delivered + r.GivenUp + r.Stopped; r.Deliveries != ended+r.Waiting+r.Queued {
		r.fault("I4", "deliveries are not ended + waiting + queued", "%d ≠ %d + %d + %d", r.Deliveries, ended, r.Waiting, r.Queued)
	}
}

func success(status int) bool { return status >= 200 && status <= 299 }

// answers is I5.
func (c *checker) answers() {
	unrecorded := func(t try, q *request) {
		c.report.Unrecorded++
		if c.report.Unrecorded > c.run.Unrecorded {
			c.report.fault("I5", "a request without an attempt on record", "%s attempt %d, answered %d", t.delivery, t.attempt, q.Status)
		}
	}
	for t, both := range c.model.tries {
		seen := func(status int) bool {
			return slices.ContainsFunc(both.requests, func(q *request) bool { return q.Status == status })
		}
		delivered := false
		for _, a := range both.records {
			if a.GetResult() == aftercallv1.Attempt_RESULT_DELIVERED {
				delivered = true
				if !success(int(a.GetHttpStatus())) {
					c.report.fault("I5", "delivered with another status than 2xx", "%s attempt %d: %d", t.delivery, t.attempt, a.GetHttpStatus())
				}
			} else if success(int(a.GetHttpStatus())) {
				c.report.fault("I5", "a 2xx that is not delivered", "%s attempt %d", t.delivery, t.attempt)
			}
			if (a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED) != (a.GetResult() == aftercallv1.Attempt_RESULT_DELIVERED) {
				c.report.fault("I5", "state and result of an attempt disagree", "%s attempt %d", t.delivery, t.attempt)
			}
			switch status := int(a.GetHttpStatus()); {
			case status == 0 || c.run.Unseen[a.GetSubscriptionId()]:
			case a.GetResult() == aftercallv1.Attempt_RESULT_DELIVERED && !slices.ContainsFunc(both.requests, func(q *request) bool { return success(q.Status) }):
				c.report.fault("I5", "delivered without a 2xx at the receiver", "%s attempt %d", t.delivery, t.attempt)
			case !seen(status):
				c.report.fault("I5", "an attempt whose answer no receiver gave", "%s attempt %d: %d", t.delivery, t.attempt, status)
			}
		}
		for _, q := range both.requests {
			switch {
			case len(both.records) == 0:
				unrecorded(t, q)
			case success(q.Status) && !delivered:
				unrecorded(t, q)
			}
		}
		records := 0
		for _, a := range both.records {
			// An end without a request, such as that of a copy that grew too old.
			if a.GetResult() != aftercallv1.Attempt_RESULT_NOT_SENT {
				records++
			}
		}
		if records > max(1, len(both.requests)) && !c.run.Unseen[both.records[0].GetSubscriptionId()] {
			c.report.fault("I5", "more attempts on record than requests", "%s attempt %d: %d on record, %d requests", t.delivery, t.attempt, records, len(both.requests))
		}
	}
	for i := range c.run.Requests {
		e := &c.run.Requests[i]
		if _, ok := c.model.deliveries[e.DeliveryID]; !ok {
			c.report.fault("I2", "a request of a delivery that does not exist", "%s", e.DeliveryID)
		}
	}
}

// repeats is I6. A repeat is a request of an attempt that was made before, or of
// a delivery that a receiver had taken before.
func (c *checker) repeats() {
	for _, d := range c.model.deliveries {
		slices.SortStableFunc(d.requests, func(a, b *request) int { return a.Time.Compare(b.Time) })
		made := map[int]bool{}
		taken := time.Time{}
		for _, q := range d.requests {
			if made[q.try.attempt] || !taken.IsZero() && q.Time.After(taken) {
				c.report.Repeats++
				if c.report.Repeats > c.run.Repeats {
					c.report.fault("I6", "more repeated requests than the bound", "%s attempt %d at %s", q.DeliveryID, q.try.attempt, q.Time.Format(time.TimeOnly))
				}
			}
			made[q.try.attempt] = true
			if answered := q.Time.Add(q.Took); success(q.Status) && (taken.IsZero() || answered.Before(taken)) {
				taken = answered
			}
		}
	}
}

// requests is I7.
func (c *checker) requests() {
	for i := range c.run.Requests {
		e := &c.run.Requests[i]
		d, ok := c.model.deliveries[e.DeliveryID]
		if !ok {
			continue
		}
		id := d.webhookID
		if id == "" {
			id = d.event
		}
		if e.WebhookID != id {
			c.report.fault("I7", "a webhook-id that is not the event's", "%s: %s, want %s", e.DeliveryID, e.WebhookID, id)
		}
		if event := c.model.byID[d.event]; event != nil {
			if !bytes.Equal(e.Body, event.GetPayload()) {
				c.report.fault("I7", "a body that is not the CDR, byte for byte", "%s", e.DeliveryID)
			}
			if e.EventType != event.GetEventType() {
				c.report.fault("I7", "an event type that is not the event's", "%s: %s", e.DeliveryID, e.EventType)
			}
		}
		secrets, ok := c.run.Secrets[d.subscription]
		if !ok {
			continue
		}
		if err := verifies(secrets, e.Headers, e.Body, e.Time); err != nil {
			c.report.fault("I7", "a signature that does not verify", "%s attempt %s: %v", e.DeliveryID, e.Attempt, err)
		}
	}
}

func verifies(secrets [][]byte, h http.Header, body []byte, at time.Time) error {
	err := webhook.ErrUnsigned
	for _, s := range secrets {
		if err = webhook.Verify(s, h.Get(webhook.HeaderID), h.Get(webhook.HeaderTimestamp), h.Get(webhook.HeaderSignature), body, at); err == nil {
			return nil
		}
	}
	return err
}

// due is I8.
func (c *checker) due() {
	for _, id := range c.model.order {
		d := c.model.deliveries[id]
		for _, q := range d.requests {
			before := c.model.tries[try{id, q.try.attempt - 1}]
			if before == nil || len(before.records) == 0 {
				continue
			}
			earliest := time.Time{}
			for _, a := range before.records {
				if a.GetNextAttemptAt() == nil {
					continue
				}
				if at := a.GetNextAttemptAt().AsTime(); earliest.IsZero() || at.Before(earliest) {
					earliest = at
				}
			}
			if now, ok := c.run.SentNow[d.subscription]; ok && !q.Time.Before(now) {
				continue
			}
			if !earliest.IsZero() && q.Time.Add(c.run.Skew).Before(earliest) {
				c.report.fault("I8", "an attempt before it was due", "%s attempt %d: %s early", id, q.try.attempt, earliest.Sub(q.Time))
			}
		}
	}
}

// store is I11.
func (c *checker) store() {
	s := c.run.Store
	attempts := map[string]*store.Attempt{}
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if attempts[a.AttemptID] != nil {
			c.report.fault("I11", "an attempt is in the store twice", "%s", a.AttemptID)
		}
		attempts[a.AttemptID] = a
	}
	known := 0
	for _, id := range c.model.order {
		for _, a := range c.model.deliveries[id].attempts {
			row := attempts[a.GetAttemptId()]
			if row == nil {
				c.report.fault("I11", "an attempt of the history is not in the store", "%s of %s", a.GetAttemptId(), id)
				continue
			}
			known++
			if row.DeliveryID != id || row.EventID != a.GetEventId() || row.SubscriptionID != a.GetSubscriptionId() || row.CallID != a.GetCallId() ||
				row.Attempt != a.GetAttempt() || row.HTTPStatus != a.GetHttpStatus() || row.Result != store.ResultWord(a.GetResult()) || row.State != store.StateWord(a.GetState()) {
				c.report.fault("I11", "an attempt in the store is not the history's", "%s: %+v", a.GetAttemptId(), *row)
			}
		}
	}
	if known < len(attempts) {
		c.report.fault("I11", "attempts in the store that the history does not have", "%d", len(attempts)-known)
	}
	rows := map[string]*store.Delivery{}
	for i := range s.Deliveries {
		rows[s.Deliveries[i].DeliveryID] = &s.Deliveries[i]
	}
	for _, id := range c.model.order {
		d := c.model.deliveries[id]
		row := rows[id]
		if row == nil {
			c.report.fault("I11", "a delivery is not in the store", "%s", id)
			continue
		}
		delete(rows, id)
		if want := store.StateWord(d.state()); row.State != want {
			c.report.fault("I11", "a delivery's state in the store is not the history's", "%s: %s, want %s", id, row.State, want)
		}
		if row.Attempt != d.lastAttempt() {
			c.report.fault("I11", "a delivery's last attempt in the store is not the history's", "%s: %d, want %d", id, row.Attempt, d.lastAttempt())
		}
		if row.State == store.StateDelivered && !c.run.Unseen[d.subscription] && !slices.ContainsFunc(d.requests, func(q *request) bool { return success(q.Status) }) {
			c.report.fault("I11", "delivered in the store, without a 2xx at the receiver", "%s", id)
		}
	}
	for id := range rows {
		c.report.fault("I11", "a delivery in the store that is in no topic", "%s", id)
	}
	events := map[string]bool{}
	for _, e := range s.Events {
		events[e.EventID] = true
	}
	for id := range c.model.byID {
		if !events[id] {
			c.report.fault("I11", "an event is not in the store", "%s", id)
		}
		delete(events, id)
	}
	for id := range events {
		c.report.fault("I11", "an event in the store that is in no topic", "%s", id)
	}
	rejections := map[position]bool{}
	for _, r := range s.Rejections {
		rejections[position{r.Position.Topic, r.Position.Partition, r.Position.Offset}] = true
	}
	for _, r := range c.model.rejections {
		if at := positionOf(r.GetPosition()); !rejections[at] {
			c.report.fault("I11", "a rejection is not in the store", "%v", at)
		}
	}
}
