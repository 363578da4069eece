package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Event is one server-sent event. One without a name moves the place alone.
type Event struct {
	ID, Name string
	Data     []byte
}

const (
	// Silence is how long a stream may say nothing at all before it is taken for
	// dead; it sends a comment every 15 s.
	silence  = 45 * time.Second
	maxEvent = 1 << 20
)

// ErrStreamEnded says that a stream that was open is not any more. Who comes back
// with the id of the last event gets what followed.
var ErrStreamEnded = errors.New("the stream ended")

// Events reads a stream and calls do for each event, until it ends: with
// ErrStreamEnded once it had begun, with what Do would answer before. since is the
// id to go on from, "" for now.
func (c *Client) Events(ctx context.Context, path string, q url.Values, since string, do func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1"+path+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "text/event-stream")
	if since != "" {
		req.Header.Set("Last-Event-ID", since)
	}
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	// No limit on the whole: a stream has no end.
	resp, err := (&http.Client{CheckRedirect: c.http.CheckRedirect, Transport: c.http.Transport}).Do(req)
	if err != nil {
		return fmt.Errorf("asking the API: %w; is Aftercall running there (--api)?", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxEvent)) // what came of it is judged
		return refusal(resp.StatusCode, b)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return errors.New("the answer is no stream: is --api right?")
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	var e Event
	for lines.Scan() {
		watchdog.Reset(silence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := do(e); err != nil {
				return err
			}
			e = Event{ID: e.ID}
		case field == "id":
			e.ID = value
		case field == "event":
			e.Name = value
		case field == "data":
			e.Data = append(e.Data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStreamEnded, err)
	}
	return ErrStreamEnded
}

// refusal is what an answer that is none says.
func refusal(status int, body []byte) error {
	p := &RefusedError{}
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		return fmt.Errorf("the answer was %d and is not that of Aftercall's API: is --api right?", status)
	}
	p.Status = status
	return p
}
