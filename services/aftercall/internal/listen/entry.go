package listen

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// What became of a signature.
const (
	Verified  = "verified"
	Invalid   = "INVALID"
	Unsigned  = "unsigned"
	Unchecked = "unchecked" // no secret was given
)

// Entry is one request as it came, and its answer.
type Entry struct {
	// Time at which the request had been read.
	Time   time.Time
	Method string
	// Path with query.
	Path   string
	Remote string
	// WebhookID and the next ones are copied from the headers.
	WebhookID  string
	EventType  string
	DeliveryID string
	Attempt    string
	Cause      string
	// Seen counts the requests with this webhook-id and path so far, this one
	// included.
	Seen int
	// Signature is Verified, Invalid, Unsigned or Unchecked.
	Signature string
	// Problem says why a signature is not verified, or why there is no answer.
	Problem string
	// Status of the answer; 0 when the sender did not wait for it.
	Status int
	// Took is the time from Time to the answer.
	Took    time.Duration
	Headers http.Header
	// Body byte for byte.
	Body []byte
}

// line is an Entry as a line of JSON. A body that is text stands there as text.
type line struct {
	Time       time.Time   `json:"time"`
	Method     string      `json:"method"`
	Path       string      `json:"path"`
	Remote     string      `json:"remote,omitempty"`
	WebhookID  string      `json:"webhook_id,omitempty"`
	EventType  string      `json:"event_type,omitempty"`
	DeliveryID string      `json:"delivery_id,omitempty"`
	Attempt    string      `json:"attempt,omitempty"`
	Cause      string      `json:"cause,omitempty"`
	Seen       int         `json:"seen"`
	Signature  string      `json:"signature"`
	Problem    string      `json:"problem,omitempty"`
	Status     int         `json:"status"`
	TookMS     float64     `json:"took_ms"`
	Headers    http.Header `json:"headers"`
	Body       *string     `json:"body,omitempty"`
	BodyBase64 []byte      `json:"body_base64,omitempty"`
}

// MarshalJSON keeps every byte of the body: as text where it is text.
func (e Entry) MarshalJSON() ([]byte, error) {
	l := line{
		Time: e.Time, Method: e.Method, Path: e.Path, Remote: e.Remote, WebhookID: e.WebhookID, EventType: e.EventType,
		DeliveryID: e.DeliveryID, Attempt: e.Attempt, Cause: e.Cause, Seen: e.Seen, Signature: e.Signature,
		Problem: e.Problem, Status: e.Status, TookMS: float64(e.Took.Microseconds()) / 1000, Headers: e.Headers,
	}
	if utf8.Valid(e.Body) {
		text := string(e.Body)
		l.Body = &text
	} else {
		l.BodyBase64 = e.Body
	}
	return json.Marshal(l)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	*e = Entry{
		Time: l.Time, Method: l.Method, Path: l.Path, Remote: l.Remote, WebhookID: l.WebhookID, EventType: l.EventType,
		DeliveryID: l.DeliveryID, Attempt: l.Attempt, Cause: l.Cause, Seen: l.Seen, Signature: l.Signature,
		Problem: l.Problem, Status: l.Status, Took: time.Duration(l.TookMS * float64(time.Millisecond)), Headers: l.Headers,
		Body: l.BodyBase64,
	}
	if l.Body != nil {
		e.Body = []byte(*l.Body)
	}
	return nil
}

// ReadLog reads a log. A last line that was cut short by a crash is left out: its
// request was never answered.
func ReadLog(r io.Reader) ([]Entry, error) {
	var entries []Entry
	in := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, fmt.Errorf("reading line %d of the log: %w", n, err)
		}
		var e Entry
		if err := json.Unmarshal(text, &e); err != nil {
			return entries, fmt.Errorf("reading line %d of the log: %w", n, err)
		}
		entries = append(entries, e)
	}
}

// Recorder keeps entries in memory: its Record is for Options.OnRequest.
type Recorder struct {
	mu      sync.Mutex
	entries []Entry
}

// Record appends an entry.
func (r *Recorder) Record(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, e)
}

// Entries returns a copy of what was recorded so far.
func (r *Recorder) Entries() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Entry(nil), r.entries...)
}
