package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// The pace of coming back.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 5 * time.Second
)

// listen reads the API's live stream until ctx ends. A stream that ends is taken
// up where it was; one that cannot begin is an error.
func (t *tailer) listen(ctx context.Context, c *client.Client) error {
	q := url.Values{"rows": {"1000"}}
	for name, v := range map[string]string{
		"subscription": t.filter.Subscription, "event_type": t.filter.EventType, "call": t.filter.Call, "delivery": t.filter.Delivery, "event": t.filter.Event,
		"result": t.filter.Result, "state": t.filter.State, "status": t.filter.Status, "error": t.filter.Error, "cause": t.filter.Cause,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	place, begun, lost := "", false, false
	wait := firstWait
	for {
		err := c.Events(ctx, "/stream", q, place, func(e client.Event) error {
			begun, lost, wait = true, false, firstWait
			if err := t.event(e); err != nil {
				return printError{err}
			}
			if e.ID != "" {
				place = e.ID
			}
			return nil
		})
		var refused *client.RefusedError
		var printing printError
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end was asked for, whatever it cut off
		case errors.As(err, &printing):
			return printing.error
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
			return errors.New("this Aftercall has no live stream: read from Kafka, with --brokers")
		case errors.As(err, &refused) && refused.Status/100 == 4 && refused.Status != http.StatusTooManyRequests, !begun && !errors.Is(err, client.ErrStreamEnded):
			return fmt.Errorf("listening: %w", err)
		}
		if !lost {
			t.say("the connection is lost; coming back to where it was")
		}
		lost = true
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastWait)
	}
}

// printError ends the tail, whatever the connection.
type printError struct{ error }

func (p printError) Unwrap() error { return p.error }

func (t *tailer) event(e client.Event) error {
	switch e.Name {
	case "attempt":
		return t.raw(e.Data)
	case "gap":
		var gap struct {
			Reason  string `json:"reason"`
			Dropped int64  `json:"dropped"`
		}
		if err := json.Unmarshal(e.Data, &gap); err != nil {
			return fmt.Errorf("reading the stream: %w", err)
		}
		why := map[string]string{
			"coalesced": "they came faster than they were taken", "retention": "Kafka has them no more", "behind": "too many to catch up with", "unknown_position": "the history is another one",
		}[gap.Reason]
		if why == "" {
			why = client.Plain(gap.Reason)
		}
		t.say(fmt.Sprintf("%d left out: %s; aftercall attempts lists them", gap.Dropped, why))
	}
	return nil
}
