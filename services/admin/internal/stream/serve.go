package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The pace of a stream.
const (
	// Beat is how often a quiet stream says that it lives.
	Beat = 15 * time.Second
	// tick is the shortest time between two batches.
	tick = 200 * time.Millisecond
	// checkEvery is how often it is asked whether the listener may still listen.
	checkEvery = time.Second
	// checkPatience is how long that may fail to be known.
	checkPatience = 30 * time.Second
	// writePatience is how long a listener may take for one batch.
	writePatience = 10 * time.Second
	// again is how long a browser waits before it comes back, in ms.
	again = 2000
)

// ErrEnded is for Allowed: the token or session is not valid any more.
var ErrEnded = errors.New("the token or session has ended")

// Way is how one surface serves a stream.
type Way struct {
	// Allowed answers ErrEnded when the listener may listen no more; another
	// error says that it is not known right now.
	Allowed func(context.Context) error
	// Encode is an item as this surface shows it, JSON in one line.
	Encode func(*Item) (any, error)
}

// Serve writes server-sent events until the listener goes away, falls behind for
// good, may listen no more, or the hub ends. That is no error: whoever comes back
// with the last id goes on from there.
func (l *Listener) Serve(ctx context.Context, w http.ResponseWriter, way Way) error {
	defer l.Close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		select {
		case <-l.hub.ended:
			end()
		case <-ctx.Done():
		}
	}()
	out := &writer{w: w, c: http.NewResponseController(w)}
	// A server's limit on the time of a request is not for this one: when it passed,
	// net/http would take the listener for gone.
	_ = out.c.SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events until it has 4 KiB
	w.WriteHeader(http.StatusOK)
	fmt.Fprintf(&out.b, "retry: %d\nid: %s\n\n", again, l.ID())
	if err := out.flush(); err != nil {
		return nil // the listener went away
	}
	known, asked, beat := time.Now(), time.Now(), time.Now()
	for {
		wake := time.NewTimer(min(time.Until(asked.Add(checkEvery)), time.Until(beat.Add(Beat))))
		events, more, err := l.Next(ctx, wake.C)
		wake.Stop()
		if err != nil {
			if errors.Is(err, ErrClosed) || ctx.Err() != nil {
				return nil
			}
			return err
		}
		if l.due() || time.Since(asked) >= checkEvery {
			asked = time.Now()
			switch err := way.Allowed(ctx); {
			case errors.Is(err, ErrEnded):
				return nil
			case err == nil:
				known = time.Now()
			case time.Since(known) > checkPatience:
				return fmt.Errorf("asking whether a stream may go on: %w", err)
			}
		}
		for _, e := range events {
			if err := out.event(e, way); err != nil {
				return err
			}
		}
		if out.b.Len() == 0 && time.Since(beat) >= Beat {
			// The id without an event moves the place that a browser comes back with.
			fmt.Fprintf(&out.b, ": beat\nid: %s\n\n", l.ID())
		}
		if out.b.Len() == 0 {
			continue
		}
		if err := out.flush(); err != nil {
			return nil // the listener went away, or takes nothing any more
		}
		beat = time.Now()
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tick):
		}
	}
}

type writer struct {
	w http.ResponseWriter
	c *http.ResponseController
	b bytes.Buffer
}

func (o *writer) event(e Event, way Way) error {
	kind, data := KindGap, any(e.Gap)
	if e.Item != nil {
		var err error
		if data, err = way.Encode(e.Item); err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		kind = e.Item.Kind
	}
	fmt.Fprintf(&o.b, "id: %s\nevent: %s\ndata: ", e.ID, kind)
	enc := json.NewEncoder(&o.b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil { // ends with a line break
		return fmt.Errorf("encoding an event: %w", err)
	}
	o.b.WriteByte('\n')
	return nil
}

func (o *writer) flush() error {
	_ = o.c.SetWriteDeadline(time.Now().Add(writePatience))
	_, err := o.w.Write(o.b.Bytes())
	o.b.Reset()
	if err != nil {
		return err
	}
	return o.c.Flush()
}
