package write_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// wire stands between the projector and PostgreSQL, and can be cut.
type wire struct {
	target string
	ln     net.Listener
	mu     sync.Mutex
	down   bool
	open   map[net.Conn]bool
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{target: target, ln: ln, open: map[net.Conn]bool{}}
	t.Cleanup(func() { ln.Close(); w.set(true) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	return w
}

func (w *wire) carry(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer s.Close()
	w.mu.Lock()
	if w.down {
		w.mu.Unlock()
		return
	}
	w.open[c], w.open[s] = true, true
	w.mu.Unlock()
	go func() {
		io.Copy(s, c)
		s.Close()
	}()
	io.Copy(c, s)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
	delete(w.open, s)
}

// set cuts the wire, with all that goes over it, or mends it.
func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	if down {
		for c := range w.open {
			c.Close()
		}
	}
}

func TestPostgresCutOffInTheMiddleOfBatchesLosesAndRepeatsNothing(t *testing.T) {
	u, err := url.Parse(storetest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, u.Host)
	u.Host = w.ln.Addr().String()
	db := storetest.PostgresAt(t, u.String())
	broker := kafkatest.Start(t)
	out, kept := records(storetest.Feed(12, 80))
	b := run(t, broker.Config(), db, nil)
	const parts = 5
	for i := range parts {
		kafkatest.Produce(t, broker.Config(), out[i*len(out)/parts:(i+1)*len(out)/parts]...)
		// Whatever is on its way now is cut: before, in or after its commit.
		w.set(true)
		kafkatest.WaitFor(t, "the loop to say that the database is away", func() bool { _, err := b.status.of(); return err != nil })
		w.set(false)
		kafkatest.WaitFor(t, "the loop to be well", func() bool { _, err := b.status.of(); return err == nil })
	}
	kafkatest.WaitFor(t, "the store to catch up", caughtUp(t, broker.Config(), db))
	b.end(t)
	storetest.CheckModel(t, db, storetest.ModelOf(kept))
}
