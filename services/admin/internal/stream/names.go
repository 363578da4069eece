package stream

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	namesAge      = 15 * time.Second
	namesAgain    = time.Second
	namesPatience = 2 * time.Second
)

// names knows what subscriptions are called, about as of now: a name is read
// again when it is a while old, or when somebody new appears.
type names struct {
	read   func(context.Context) (map[string]string, error)
	logger *zap.Logger

	mu    sync.Mutex
	known map[string]string
	asked time.Time
}

// refresh is called before a batch is decoded, which must not wait long for it.
func (n *names) refresh(ctx context.Context, unknown bool) {
	if n.read == nil {
		return
	}
	n.mu.Lock()
	age := time.Since(n.asked)
	due := n.known == nil || age > namesAge || unknown && age > namesAgain
	if due {
		n.asked = time.Now()
	}
	n.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, namesPatience)
	defer cancel()
	known, err := n.read(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.logger.Warn("stream.names.failed", zap.Error(err))
		}
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = known
}

func (n *names) of(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[id]
}
