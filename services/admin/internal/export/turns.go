package export

import (
	"context"
	"net/http"
	"sync"

	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// AtOnce is how many exports a process makes at once: each reads the store for as
// long as it has rows, and the lists are for people who wait.
const AtOnce = 4

// Turns keeps exports few. Nil lets all of them be made.
type Turns chan struct{}

// NewTurns lets n be made at once.
func NewTurns(n int) Turns { return make(Turns, n) }

// take takes a turn until ctx ends or the turn is given back.
func (t Turns) take(ctx context.Context) (giveBack func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	select {
	case t <- struct{}{}:
	default:
		return nil, problem.New(http.StatusServiceUnavailable, problem.CodeTooManyExports, "As many exports are being made as this process makes at once. Try again when one of them has ended.")
	}
	giveBack = sync.OnceFunc(func() { <-t })
	// The request's context always ends, whether the file is written or not.
	context.AfterFunc(ctx, giveBack)
	return giveBack, nil
}
