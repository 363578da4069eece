package verify

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// request is one request as a receiver logged it.
type request struct {
	time    time.Time
	took    time.Duration
	status  int
	attempt int32
}

func success(status int) bool { return status >= 200 && status <= 299 }

// request takes in one request, and judges what it alone shows (I7). All records
// must have been taken in.
func (c *checker) request(e *listen.Entry) {
	n, _ := strconv.ParseInt(e.Attempt, 10, 32)
	q := request{time: e.Time, took: e.Took, status: e.Status, attempt: int32(n)}
	d := c.deliveries[e.DeliveryID]
	if d == nil {
		if c.inScope != nil && c.byID[e.WebhookID] == nil {
			return // of another span
		}
		c.report.Requests++
		c.report.fault("I2", "a request of a delivery that does not exist", "%s", e.DeliveryID)
		c.unrecorded(e.DeliveryID, q)
		return
	}
	c.report.Requests++
	d.requests = append(d.requests, q)
	id := d.webhookID
	if id == "" {
		id = d.event
	}
	if e.WebhookID != id {
		c.report.fault("I7", "a webhook-id that is not the event's", "%s: %s, want %s", e.DeliveryID, e.WebhookID, id)
	}
	if event := c.byID[d.event]; event != nil {
		if c.sendsPlain(d.subscription, e.Time) && sum(e.Body) != event.payload {
			c.report.fault("I7", "a body that is not the CDR, byte for byte", "%s", e.DeliveryID)
		}
		if e.EventType != event.eventType {
			c.report.fault("I7", "an event type that is not the event's", "%s: %s", e.DeliveryID, e.EventType)
		}
	}
	if err := c.signature(d.subscription, e); err != nil {
		c.report.fault("I7", "a signature that does not verify", "%s attempt %s: %v", e.DeliveryID, e.Attempt, err)
	}
}

// sendsPlain says whether a body has to be the CDR itself.
func (c *checker) sendsPlain(subscription string, at time.Time) bool {
	if c.inScope == nil {
		return true
	}
	n := c.subs[subscription]
	return n != nil && n.plain && !at.Before(n.since)
}

func (c *checker) signature(subscription string, e *listen.Entry) error {
	secrets := c.run.Secrets[subscription]
	if c.inScope != nil {
		secrets = append(slices.Clone(secrets), c.run.AnySecret...)
	}
	if len(secrets) == 0 {
		if _, listed := c.run.Secrets[subscription]; listed || c.inScope != nil && e.Signature == listen.Invalid {
			return webhook.ErrUnsigned
		}
		if e.Signature != listen.Verified {
			c.report.Unsigned++
		}
		return nil
	}
	return verifies(secrets, e.Headers, e.Body, e.Time)
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

// unrecorded judges a request without an attempt on record.
func (c *checker) unrecorded(delivery string, q request) {
	c.report.Unrecorded++
	if d := c.deliveries[delivery]; c.commits != nil && d != nil && d.unfinished {
		return // it was not written down, and will be sent again
	}
	if c.report.Unrecorded > c.run.Unrecorded {
		c.report.fault("I5", "a request without an attempt on record", "%s attempt %d, answered %d", delivery, q.attempt, q.status)
	}
}

// answers is I5.
func (c *checker) answers() {
	for _, d := range c.order {
		for _, n := range d.numbers() {
			c.answered(d, n)
		}
	}
}

// unseen says whether no receiver's log tells of an attempt.
func (c *checker) unseen(d *delivery, a *attempt) bool {
	if c.inScope == nil {
		return c.run.Unseen[d.subscription]
	}
	return a == nil || !c.run.Seen[d.subscription].holds(a.started, a.took)
}

// answered compares what both sides say of one try.
func (c *checker) answered(d *delivery, n int32) {
	requests := slices.DeleteFunc(slices.Clone(d.requests), func(q request) bool { return q.attempt != n })
	seen := func(ok func(status int) bool) bool {
		return slices.ContainsFunc(requests, func(q request) bool { return ok(q.status) })
	}
	records, tried, delivered, unseen := 0, 0, false, false
	for i := range d.attempts {
		a := &d.attempts[i]
		if a.n != n {
			continue
		}
		records++
		unseen = unseen || c.unseen(d, a)
		if a.result == aftercallv1.Attempt_RESULT_DELIVERED {
			delivered = true
			if !success(int(a.status)) {
				c.report.fault("I5", "delivered with another status than 2xx", "%s attempt %d: %d", d.id, n, a.status)
			}
		} else if success(int(a.status)) {
			c.report.fault("I5", "a 2xx that is not delivered", "%s attempt %d", d.id, n)
		}
		if (a.state == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED) != (a.result == aftercallv1.Attempt_RESULT_DELIVERED) {
			c.report.fault("I5", "state and result of an attempt disagree", "%s attempt %d", d.id, n)
		}
		// An end without a request, such as that of a copy that grew too old, is no try.
		if a.result != aftercallv1.Attempt_RESULT_NOT_SENT {
			tried++
		}
		switch status := int(a.status); {
		case status == 0 || c.unseen(d, a):
		case a.result == aftercallv1.Attempt_RESULT_DELIVERED && !seen(success):
			c.report.fault("I5", "delivered without a 2xx at the receiver", "%s attempt %d", d.id, n)
		case !seen(func(s int) bool { return s == status }):
			c.report.fault("I5", "an attempt whose answer no receiver gave", "%s attempt %d: %d", d.id, n, status)
		}
	}
	for _, q := range requests {
		if records == 0 || success(q.status) && !delivered {
			c.unrecorded(d.id, q)
		}
	}
	if tried > max(1, len(requests)) && !unseen {
		c.report.fault("I5", "more attempts on record than requests", "%s attempt %d: %d on record, %d requests", d.id, n, tried, len(requests))
	}
}

// repeats is I6. A repeat is a request of an attempt that was made before, or of
// a delivery that a receiver had taken before.
func (c *checker) repeats() {
	for _, d := range c.order {
		slices.SortStableFunc(d.requests, func(a, b request) int { return a.time.Compare(b.time) })
		made := map[int32]bool{}
		taken := time.Time{}
		for _, q := range d.requests {
			if made[q.attempt] || !taken.IsZero() && q.time.After(taken) {
				c.report.Repeats++
				if c.report.Repeats > c.run.Repeats && c.run.Repeats >= 0 {
					c.report.fault("I6", "more repeated requests than the bound", "%s attempt %d at %s", d.id, q.attempt, q.time.Format(time.TimeOnly))
				}
			}
			made[q.attempt] = true
			if answered := q.time.Add(q.took); success(q.status) && (taken.IsZero() || answered.Before(taken)) {
				taken = answered
			}
		}
	}
}
