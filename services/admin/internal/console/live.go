package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/admin/internal/stream"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

const (
	// liveRows is how many rows a tab gets at a time, five times a second: what is
	// more is counted, for nobody reads that fast.
	liveRows = 25
	// projectPatience is how long a region waits until it shows what the stream told.
	projectPatience = 2 * time.Second
)

// stream is the one stream of a tab: rows for the list of attempts, elsewhere
// only that something happened.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	query, wrong := attemptFilterOf(q).query()
	if wrong != nil {
		return wrong
	}
	query.SubscriptionID, query.DeliveryID, query.EventID = q.Get("subscription"), q.Get("delivery"), q.Get("event")
	rows := q.Has("rows")
	since := r.Header.Get("Last-Event-ID")
	if since == "" {
		since = q.Get("since")
	}
	l, err := c.Webhooks.Listen(r.Context(), stream.Request{Since: since, Rows: liveRows, Filter: liveFilter(query, rows)})
	if err != nil {
		return err
	}
	err = l.Serve(r.Context(), w, stream.Way{
		Allowed: func(context.Context) error {
			p, err := c.session(r)
			return webhooks.Allowed(p, err)
		},
		Encode: func(i *stream.Item) (any, error) {
			if !rows {
				return struct{}{}, nil
			}
			var b bytes.Buffer
			err := c.pages["attempts"].ExecuteTemplate(&b, "attempt-row", rowOf(i.Attempt, query.SubscriptionID == ""))
			return liveRow{ID: i.Attempt.AttemptID, At: i.Attempt.StartedAt.UnixMilli(), HTML: b.String()}, err
		},
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Logger.Warn("stream.ended", zap.Error(err))
	}
	return nil
}

// liveRow is a row as the list has it.
type liveRow struct {
	ID   string `json:"id"`
	At   int64  `json:"at"`
	HTML string `json:"html"`
}

func liveFilter(q store.AttemptQuery, attemptsOnly bool) stream.Filter {
	return stream.Filter{
		Subscription: q.SubscriptionID, EventType: q.EventType, Call: q.CallID, Delivery: q.DeliveryID, Event: q.EventID, Result: q.Result, State: q.State,
		Status: q.Status, Error: q.ErrorClass, Cause: q.Cause, MinAttempt: q.MinAttempt, MaxAttempt: q.MaxAttempt, From: q.From, To: q.To, AttemptsOnly: attemptsOnly,
	}
}

// streamHref is the stream of a page with these words.
func streamHref(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "/stream?" + q.Encode()
}

func (f attemptFilter) streamHref(subscription string) string {
	return streamHref("rows", "1", "subscription", subscription, "event_type", f.EventType, "result", f.Result, "status", f.Status, "error", f.Error, "cause", f.Cause, "call", f.Call, "from", f.From, "to", f.To, "state", f.State, "attempt", f.Attempt)
}

// place is up to where the store has the history. Asked for before a page is
// read, a stream from there leaves nothing out; what it repeats the page knows by
// its id. It is empty when it cannot be told: then the stream begins now.
func (c *Console) place(ctx context.Context) string {
	offsets, err := c.Store.ProjectedOffsets(ctx)
	if err != nil {
		return ""
	}
	return stream.Vector(offsets[topic.History]).String()
}

// await waits, though not for long, until the store has what the stream told a
// page: it then asks for itself anew.
func (c *Console) await(r *http.Request) {
	v, err := stream.ParseVector(r.Header.Get("Aftercall-Position"))
	if err != nil || r.Method != http.MethodGet {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), projectPatience)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		offsets, err := c.Store.ProjectedOffsets(ctx)
		if err != nil || v.Within(offsets[topic.History]) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
