package tail

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// row is an attempt as the API lists it.
type row struct {
	AttemptID        string `json:"attempt_id"`
	DeliveryID       string `json:"delivery_id"`
	EventID          string `json:"event_id"`
	SubscriptionID   string `json:"subscription_id"`
	SubscriptionName string `json:"subscription_name"`
	EventType        string `json:"event_type"`
	CallID           string `json:"call_id"`
	Cause            string `json:"cause"`
	Attempt          int32  `json:"attempt"`
	AttemptsAllowed  int32  `json:"attempts_allowed"`
	StartedAt        moment `json:"started_at"`
	Result           string `json:"result"`
	ErrorClass       string `json:"error_class,omitempty"`
	HTTPStatus       int32  `json:"http_status,omitempty"`
	DurationMS       int64  `json:"duration_ms"`
	EndToDeliveredMS *int64 `json:"call_end_to_delivered_ms,omitempty"`
	NextAttemptAt    moment `json:"next_attempt_at,omitzero"`
	State            string `json:"state"`
	Reason           string `json:"reason,omitempty"`
}

// moment is a time as the API writes it.
type moment struct{ time.Time }

// MarshalJSON writes RFC 3339 in UTC with milliseconds.
func (m moment) MarshalJSON() ([]byte, error) {
	return []byte(m.UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// filter selects rows in the words of the list of attempts.
type filter struct {
	Subscription, EventType, Call, Delivery, Event string
	Result, State, Status, Error, Cause            string
}

func (f *filter) match(r *row) bool {
	for _, pair := range [...][2]string{
		{f.Subscription, r.SubscriptionID}, {f.EventType, r.EventType}, {f.Call, r.CallID}, {f.Delivery, r.DeliveryID}, {f.Event, r.EventID},
		{f.Result, r.Result}, {f.State, r.State}, {f.Error, r.ErrorClass}, {f.Cause, r.Cause},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	if f.Status == "" {
		return true
	}
	if class, ok := strings.CutSuffix(strings.ToLower(f.Status), "xx"); ok {
		return r.HTTPStatus > 0 && strconv.Itoa(int(r.HTTPStatus)/100) == class
	}
	return strconv.Itoa(int(r.HTTPStatus)) == f.Status
}

// check refuses words that select nothing.
func (f *filter) check() error {
	for _, one := range []struct {
		flag, value string
		words       []string
	}{
		{"result", f.Result, client.Results}, {"state", f.State, client.States}, {"error", f.Error, client.Errors}, {"cause", f.Cause, client.Causes},
	} {
		if err := client.OneOf(one.flag, one.value, one.words); err != nil {
			return err
		}
	}
	return client.Status("status", f.Status)
}

// text is a row for people; colour brings out how it ended.
func (r *row) text(colour bool) string {
	mark, paint := "✗", "\x1b[31m"
	switch r.Result {
	case "delivered":
		mark, paint = "✓", "\x1b[32m"
	case "not_sent":
		mark, paint = "-", "\x1b[33m"
	}
	answer := "-"
	switch {
	case r.HTTPStatus > 0:
		answer = strconv.Itoa(int(r.HTTPStatus))
	case r.ErrorClass != "":
		answer = r.ErrorClass
	}
	result := fmt.Sprintf("%s %-9s %-8s", mark, r.Result, answer)
	if colour {
		result = paint + result + "\x1b[0m"
	}
	line := fmt.Sprintf("%s  %s %6d ms  %d/%d  %s  %s  call %s  %s", r.StartedAt.Local().Format("15:04:05"), result, r.DurationMS, r.Attempt, r.AttemptsAllowed,
		client.Plain(r.SubscriptionName), strings.TrimPrefix(client.Plain(r.EventType), "App."), client.Plain(r.CallID), client.Plain(r.AttemptID))
	if r.Reason != "" {
		line += "  " + client.Plain(r.Reason)
	}
	switch {
	case !r.NextAttemptAt.IsZero():
		line += "  next " + r.NextAttemptAt.Local().Format("15:04:05")
	case r.State == "given_up" || r.State == "stopped":
		line += "  " + r.State
	}
	return line
}
