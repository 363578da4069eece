package engine

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lateAtMost is how long a broker may take to carry a commit out whose sender has
// hung up.
const lateAtMost = 30 * time.Second

// lateCommits sees commits that got no answer. The broker may still carry one out,
// after those that followed it: the group's position would then go back, and stay
// there until something new is finished. So all is committed once more when none
// of them can be under way any more. (After a rebalance the broker refuses them.)
type lateCommits struct {
	again func()

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

// OnBrokerE2E sees what became of a request.
func (l *lateCommits) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key != kmsg.OffsetCommit.Int16() || e2e.Err() == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
	case l.timer == nil:
		l.timer = time.AfterFunc(lateAtMost, l.again)
	default:
		l.timer.Reset(lateAtMost)
	}
}

func (l *lateCommits) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// commitAgain has the next commit say everything.
func (e *Engine) commitAgain() {
	e.mu.Lock()
	e.core.Recommit()
	e.mu.Unlock()
	e.commits.due()
}
