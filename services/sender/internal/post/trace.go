package post

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/telemetry"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// trace says of a request's span what it was about and what came of it, and ends
// it. Of the URL it tells the host alone: path and query may hold secrets.
func (r *Report) trace(span telemetry.Span, d *aftercallv1.Delivery, at time.Time) {
	defer span.End(at)
	if r.Traceparent == "" {
		return
	}
	span.Text("http.request.method", "POST")
	if u, err := url.Parse(r.URL); err == nil {
		span.Text("server.address", u.Hostname())
	}
	span.Number("aftercall.attempt", int64(d.GetAttempt()))
	if d.GetAttempt() > 1 {
		span.Number("http.request.resend_count", int64(d.GetAttempt())-1)
	}
	span.Text("aftercall.cause", CauseName(d.GetCause()))
	span.Text("aftercall.event_id", d.GetEventId())
	span.Text("aftercall.event_type", d.GetEventType())
	span.Text("aftercall.delivery_id", d.GetDeliveryId())
	span.Text("aftercall.subscription_id", d.GetSubscriptionId())
	if r.Status != 0 {
		span.Number("http.response.status_code", int64(r.Status))
	}
	switch {
	case r.Class == aftercallv1.Attempt_ERROR_CLASS_STATUS:
		span.Fail(strconv.Itoa(r.Status))
	case r.Class != aftercallv1.Attempt_ERROR_CLASS_UNSPECIFIED:
		span.Fail(strings.ToLower(strings.TrimPrefix(r.Class.String(), "ERROR_CLASS_")))
	case r.Status == 0:
		// The partition went away in the middle: another sender makes it.
		span.Fail("abandoned")
	}
}
