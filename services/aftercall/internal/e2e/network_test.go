package e2e

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// hole is an endpoint that accepts, reads and never answers. As a canary it only
// counts who came.
type hole struct {
	address      string
	came, letOff atomic.Int64
}

func newHole(t *testing.T) *hole {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	h := &hole{address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.came.Add(1)
			go func() {
				// Until the other side hangs up.
				_, _ = io.Copy(io.Discard, c)
				h.letOff.Add(1)
				_ = c.Close()
			}()
		}
	}()
	return h
}

func newCanary(t *testing.T) *hole { return newHole(t) }

func (h *hole) connections() int64 { return h.came.Load() }
