package stream

import (
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

// Filter selects events in the words of the list of attempts. What a record
// does not have matches nothing: a deferral has no result, a change of an
// endpoint only a subscription and a time.
type Filter struct {
	Subscription, EventType, Call, Delivery, Event string
	Result, State, Status, Error, Cause            string
	MinAttempt, MaxAttempt                         int32
	From, To                                       time.Time
	// AttemptsOnly leaves out what is no attempt.
	AttemptsOnly bool
}

// cleaned is f as rows are.
func (f Filter) cleaned() Filter {
	for _, s := range []*string{&f.Subscription, &f.EventType, &f.Call, &f.Delivery, &f.Event} {
		*s = store.CleanID(*s)
	}
	return f
}

func (f Filter) match(i *Item) bool {
	a := &i.Attempt
	when := a.StartedAt
	if i.Kind != KindAttempt {
		if f.AttemptsOnly {
			return false
		}
		when = i.At
	}
	for _, pair := range [...][2]string{
		{f.Subscription, a.SubscriptionID}, {f.EventType, a.EventType}, {f.Call, a.CallID}, {f.Delivery, a.DeliveryID}, {f.Event, a.EventID},
		{f.Result, a.Result}, {f.State, a.State}, {f.Error, a.ErrorClass}, {f.Cause, a.Cause},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	if !f.From.IsZero() && when.Before(f.From) || !f.To.IsZero() && !when.Before(f.To) {
		return false
	}
	// What is no attempt has no number.
	if a.Attempt < f.MinAttempt || f.MaxAttempt > 0 && (a.Attempt > f.MaxAttempt || a.Attempt == 0) {
		return false
	}
	return f.Status == "" || matchStatus(f.Status, a.HTTPStatus)
}

// matchStatus takes a code ("503") or a class of codes ("5xx").
func matchStatus(want string, status int32) bool {
	if class, ok := strings.CutSuffix(strings.ToLower(want), "xx"); ok {
		n, err := strconv.Atoi(class)
		return err == nil && n > 0 && int(status)/100 == n
	}
	n, err := strconv.ParseInt(want, 10, 32)
	return err == nil && n != 0 && int32(n) == status
}
