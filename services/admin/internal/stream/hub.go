package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/store"
)

// Why nobody can listen now.
var (
	ErrTooMany = errors.New("too many listen already")
	ErrAway    = errors.New("the history cannot be read now")
	ErrClosed  = errors.New("the process ends")
)

// Options of a hub. All but Kafka have sound defaults.
type Options struct {
	Kafka kafka.Config
	// Names are subscriptions' names by id; rows have none without it.
	Names func(context.Context) (map[string]string, error)
	// Erased is what was erased from the store, and its revision; nil erases nothing.
	Erased func(context.Context) (*store.Erased, int64, error)
	Logger *zap.Logger
	// Registry takes the hub's figures, nil keeps them to itself.
	Registry prometheus.Registerer
	// Listeners are allowed in the process at a time.
	Listeners int
	// Ring is how many records are kept in memory, for whoever was away for a
	// moment.
	Ring int
	// Behind is how many records somebody who comes back may have missed to still
	// get them; who missed more is told so, and begins with the present.
	Behind int64
	// Linger is how long reading goes on when nobody listens any more: people go
	// from page to page.
	Linger time.Duration
}

// Hub reads the history and serves everybody who listens. Run it.
type Hub struct {
	o       Options
	names   *names
	erased  *erased
	wanted  chan struct{}
	catches chan struct{}
	// ended closes with the hub: whatever a stream waits for, it then waits no more.
	ended chan struct{}

	listening prometheus.Gauge
	left      *prometheus.CounterVec

	mu sync.Mutex
	// ring holds the records numbered [oldest, next), a record's number modulo
	// its length. Numbers are never used again.
	ring         []*Item
	oldest, next uint64
	// from and at are the places before the oldest and after the last of them.
	from, at  Vector
	ready     bool
	adm       *kadm.Client
	changed   chan struct{}
	listeners int
	idle      *time.Timer
	stop      context.CancelFunc
	closed    bool
	// checks counts how often everybody was to ask whether they may go on.
	checks     uint64
	checked    time.Time
	rechecking bool
}

// New makes a hub that nobody listens to yet.
func New(o Options) *Hub {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Listeners == 0 {
		o.Listeners = 200
	}
	if o.Ring == 0 {
		o.Ring = 4096
	}
	if o.Behind == 0 {
		o.Behind = 20_000
	}
	if o.Linger == 0 {
		o.Linger = 30 * time.Second
	}
	f := promauto.With(o.Registry)
	return &Hub{
		o: o, ended: make(chan struct{}), names: &names{read: o.Names, logger: o.Logger}, erased: &erased{read: o.Erased, logger: o.Logger}, wanted: make(chan struct{}, 1), catches: make(chan struct{}, 4), changed: make(chan struct{}),
		listening: f.NewGauge(prometheus.GaugeOpts{Name: "aftercall_admin_stream_listeners", Help: "Streams of live updates that are open."}),
		left:      f.NewCounterVec(prometheus.CounterOpts{Name: "aftercall_admin_stream_left_out_total", Help: "Records that streams left out and said so, by reason."}, []string{"reason"}),
	}
}

// Run reads while somebody listens, until ctx ends; every stream then ends too.
func (h *Hub) Run(ctx context.Context) error {
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wanted:
			h.follow(ctx)
		}
	}
}

func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	close(h.ended)
	h.broadcast()
}

// broadcast wakes all who wait. The caller holds the lock.
func (h *Hub) broadcast() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// follow reads until nobody has listened for a while.
func (h *Hub) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	if h.listeners == 0 {
		h.mu.Unlock()
		return
	}
	h.stop = cancel
	h.mu.Unlock()
	for wait := 250 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		err := h.read(ctx)
		h.forget()
		if ctx.Err() != nil {
			return
		}
		h.o.Logger.Warn("stream.read.failed", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// begin says where reading begins.
func (h *Hub) begin(at Vector, adm *kadm.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring, h.oldest = make([]*Item, h.o.Ring), h.next
	h.from, h.at, h.ready, h.adm = at.clone(), at.clone(), true, adm
	h.broadcast()
}

// extend adds a partition that was made while reading.
func (h *Hub) extend(p int32, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from[p], h.at[p] = offset, offset
}

// forget lets go of what was read: nobody reads on from there.
func (h *Hub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring, h.oldest, h.ready, h.from, h.at, h.adm = nil, h.next, false, nil, nil, nil
}

// add keeps records, in the order of the log, the oldest make room.
func (h *Hub) add(items []*Item, after Vector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := uint64(len(h.ring))
	for _, item := range items {
		if h.next-h.oldest == size {
			gone := h.ring[h.oldest%size]
			h.from[gone.Partition] = gone.Offset + 1
			h.oldest++
		}
		h.ring[h.next%size] = item
		h.next++
	}
	for p, offset := range after {
		h.at[p] = offset
	}
	h.broadcast()
}

// join counts a listener in, and makes sure that somebody reads.
func (h *Hub) join() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return ErrClosed
	case h.listeners >= h.o.Listeners:
		return ErrTooMany
	}
	h.listeners++
	h.listening.Inc()
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	select {
	case h.wanted <- struct{}{}:
	default:
	}
	return nil
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners--
	h.listening.Dec()
	if h.listeners > 0 {
		return
	}
	h.idle = time.AfterFunc(h.o.Linger, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.listeners == 0 && h.stop != nil {
			h.stop()
		}
	})
}

// out counts what was left out.
func (h *Hub) out(g *Gap) *Gap {
	h.left.WithLabelValues(g.Reason).Add(float64(g.Dropped))
	return g
}
