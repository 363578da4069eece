package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// receiverCommand is hidden: the benchmark starts it as a process of its own, so
// that its CPU time is not counted as ours.
const receiverCommand = "bench-receiver"

// ReceiverCommand is a crowd of endpoints, told over its input what they are,
// until that ends.
func ReceiverCommand() *cobra.Command {
	return &cobra.Command{
		Use: receiverCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return receive(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// behaviour is how an endpoint treats a request. The zero value answers 204.
type behaviour struct {
	// Never answers: the request is read, and that is all.
	Never bool
	// Delay before the answer.
	Delay time.Duration
	// Status answered, 0 for 204.
	Status int
}

// question is one line to the receiver; each is answered by one line.
type question struct {
	// Open so many endpoints more in the group, or else Behave makes those that
	// are there behave from now on, or Forget what was measured, or Count only.
	Open      int
	Behave    bool
	Forget    bool
	Count     bool
	Group     string
	Behaviour behaviour
	// Ids, when opening: keep apart what is repeated.
	Ids bool
}

type answer struct {
	URLs    []string
	Figures figures
	Error   string
}

// figures of a receiver since its start.
type figures struct {
	CPU    time.Duration
	Groups map[string]groupFigures
}

// crowd are the endpoints, by the group in which they are counted.
type crowd struct {
	groups  map[string]*group
	servers []*http.Server
}

func receive(ctx context.Context, in io.Reader, out io.Writer) error {
	c := &crowd{groups: map[string]*group{}}
	defer c.close()
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var q question
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			a.Error = err.Error()
		} else if a, err = c.ask(ctx, q); err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

var errNoGroup = errors.New("there is no such group")

func (c *crowd) ask(ctx context.Context, q question) (answer, error) {
	g := c.groups[q.Group]
	switch {
	case q.Open > 0:
		if g == nil {
			g = &group{}
			c.groups[q.Group] = g
		}
		g.behave(q.Behaviour)
		var a answer
		for range q.Open {
			url, err := c.open(ctx, g, q.Ids)
			if err != nil {
				return answer{}, err
			}
			a.URLs = append(a.URLs, url)
		}
		return a, nil
	case q.Behave:
		if g == nil {
			return answer{}, errNoGroup
		}
		g.behave(q.Behaviour)
		return answer{}, nil
	case q.Forget:
		for _, g := range c.groups {
			g.forget()
		}
		return answer{}, nil
	}
	f := figures{CPU: cpuTime(syscall.RUSAGE_SELF), Groups: map[string]groupFigures{}}
	for name, g := range c.groups {
		f.Groups[name] = g.read(!q.Count)
	}
	return answer{Figures: f}, nil
}

// open starts one endpoint, with a port of its own.
func (c *crowd) open(ctx context.Context, g *group, ids bool) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	e := &endpoint{group: g}
	if ids {
		e.seen = map[string]struct{}{}
	}
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 2 * time.Minute, // longer than a client keeps what it does not use
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				g.opened.Add(1)
			}
		},
	}
	c.servers = append(c.servers, server)
	go func() { _ = server.Serve(ln) }()
	return "http://" + ln.Addr().String(), nil
}

func (c *crowd) close() {
	for _, s := range c.servers {
		_ = s.Close()
	}
}

// endpoint is one server of a group.
type endpoint struct {
	group *group
	mu    sync.Mutex
	// seen are the webhook-ids answered 2xx; nil where they are not told apart.
	seen map[string]struct{}
}

// ServeHTTP does as the group behaves now.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	g := e.group
	// Before it is counted: what is held has the behaviour of that time.
	c := g.now.Load()
	g.began()
	if c.Never || c.Delay > 0 {
		var late <-chan time.Time
		if !c.Never {
			late = time.After(c.Delay)
		}
		select {
		case <-late:
		case <-r.Context().Done():
			g.ended(nil)
			return
		case <-c.over:
			g.ended(nil)
			panic(http.ErrAbortHandler)
		}
	}
	if c.Status >= http.StatusMultipleChoices {
		g.ended(nil)
		w.WriteHeader(c.Status)
		return
	}
	count := &g.answered
	if r.Header.Get("aftercall-cause") == "replay" {
		count = &g.replayed
	} else {
		g.note(body)
		if e.seen != nil && !e.first(r.Header.Get("webhook-id")) {
			g.repeated.Add(1)
		}
	}
	g.ended(count)
	w.WriteHeader(http.StatusNoContent)
}

func (e *endpoint) first(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, again := e.seen[id]
	e.seen[id] = struct{}{}
	return !again
}
