package stream

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
)

// erasedAge is how long after an erasure was begun a stream may still not know of it.
const erasedAge = time.Second

// erased knows what was erased from the store: Kafka has it for a while longer,
// and a stream must not bring it back.
type erased struct {
	read   func(context.Context) (*store.Erased, int64, error)
	logger *zap.Logger

	mu       sync.Mutex
	known    *store.Erased
	revision int64
	asked    time.Time
}

// refresh says whether more was erased than it knew.
func (e *erased) refresh(ctx context.Context) (changed bool) {
	if e.read == nil {
		return false
	}
	e.mu.Lock()
	due := e.known == nil || time.Since(e.asked) > erasedAge
	if due {
		e.asked = time.Now()
	}
	e.mu.Unlock()
	if !due {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, namesPatience)
	defer cancel()
	known, revision, err := e.read(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.logger.Warn("stream.erasures.failed", zap.Error(err))
		}
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	changed = revision != e.revision
	// A new one each time: it remembers every text that it was asked about.
	e.known, e.revision = known, revision
	return changed
}

// of is the item as the store would have it.
func (e *erased) of(i *Item) *Item {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || e.known.None() {
		return i
	}
	alias := e.known.Alias(i.Attempt.CallID, i.happened)
	if alias == i.Attempt.CallID {
		return i
	}
	out := *i
	out.Attempt.CallID = alias
	return &out
}

// heed makes the hub's memory hold nothing that was erased meanwhile.
func (h *Hub) heed(ctx context.Context) {
	if !h.erased.refresh(ctx) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := h.oldest; n < h.next; n++ {
		at := n % uint64(len(h.ring))
		h.ring[at] = h.erased.of(h.ring[at])
	}
}
