// Package narrate tells what happens on the history topic, one aligned line per
// attempt, as it happens. It reads Kafka only, and never what a call is about.
package narrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Options of a narration.
type Options struct {
	// Local are addresses whose endpoints are named by their path alone.
	Local []string
	// From is where to begin; the zero value is the end of the topic.
	From time.Time
}

// Run writes a line for every attempt until ctx ends. ready is called when
// nothing that happens from then on is missed.
func Run(ctx context.Context, c kafka.Config, o Options, out io.Writer, ready func()) error {
	at := kgo.NewOffset().AtEnd()
	if !o.From.IsZero() {
		at = kgo.NewOffset().AfterMilli(o.From.UnixMilli())
	}
	client, err := kgo.NewClient(append(c.Opts(), kgo.ConsumeTopics(topic.History), kgo.ConsumeStartOffset(at))...)
	if err != nil {
		return fmt.Errorf("configuring the reader of the history: %w", err)
	}
	defer client.Close()
	if ready != nil {
		ready()
	}
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("reading %s: %w", e.Topic, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			m, err := record.Open(r)
			if err != nil {
				return
			}
			if a, ok := m.(*aftercallv1.Attempt); ok {
				_, _ = fmt.Fprintln(out, Line(a, o.Local))
			}
		})
	}
}

// Line describes one attempt:
//
//	10:14:02 App.QueueWebhook     → /flaky   503, retry in 5 s (attempt 2 of 13)
func Line(a *aftercallv1.Attempt, local []string) string {
	at := a.GetStartedAt().AsTime().Local().Format(time.TimeOnly)
	return fmt.Sprintf("%s %-20s → %-9s %s", at, a.GetEventType(), place(a, local), words(a))
}

// place is where a request went, without what may be secret in a URL.
func place(a *aftercallv1.Attempt, local []string) string {
	u, err := url.Parse(a.GetRequestUrl())
	if err != nil || u.Host == "" {
		return a.GetSubscriptionId()
	}
	for _, l := range local {
		if u.Host == l {
			return u.Path
		}
	}
	return u.Host + u.Path
}

func words(a *aftercallv1.Attempt) string {
	what := fmt.Sprint(a.GetHttpStatus())
	switch {
	case a.GetResult() == aftercallv1.Attempt_RESULT_NOT_SENT:
		what = "not sent: " + a.GetReason()
	case a.GetHttpStatus() == 0:
		what = strings.ToLower(strings.TrimPrefix(a.GetErrorClass().String(), "ERROR_CLASS_"))
	}
	switch a.GetState() {
	case aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED:
		if a.GetAttempt() > 1 {
			return fmt.Sprintf("%s, delivered on attempt %d", what, a.GetAttempt())
		}
		return fmt.Sprintf("%s in %s", what, took(a))
	case aftercallv1.DeliveryState_DELIVERY_STATE_WAITING:
		wait := a.GetNextAttemptAt().AsTime().Sub(a.GetStartedAt().AsTime().Add(a.GetTimings().GetTotal().AsDuration()))
		return fmt.Sprintf("%s, retry in %s (attempt %d of %d)", what, rough(wait), a.GetAttempt()+1, a.GetAttemptsAllowed())
	case aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP:
		return fmt.Sprintf("%s, given up: %s after %s", what, a.GetStateReason(), plural(a.GetAttempt(), "attempt"))
	case aftercallv1.DeliveryState_DELIVERY_STATE_STOPPED:
		return fmt.Sprintf("%s, stopped: %s", what, a.GetStateReason())
	}
	return what
}

func took(a *aftercallv1.Attempt) string {
	d := a.GetTimings().GetTotal().AsDuration()
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// rough is a wait as people say it.
func rough(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}

func plural(n int32, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
