package retention

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
)

// shelf stands for the store: how often it was pruned, and what is wrong with it.
type shelf struct {
	mu     sync.Mutex
	busy   bool
	err    error
	pruned []time.Time
	held   int
}

func (s *shelf) Lock(context.Context, string) (func(), bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return nil, false, nil
	}
	s.held++
	return func() { s.held-- }, true, nil
}

func (s *shelf) Prune(_ context.Context, now time.Time, _ store.Retention) (map[string]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pruned = append(s.pruned, now)
	return map[string]int64{"payloads": 7}, s.err
}

func (s *shelf) set(busy bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.err = busy, err
}

func TestTheJobRunsEveryHourAndSoonerAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &shelf{err: errors.New("the database is away")}
		begun := time.Now()
		j := New(s, store.Retention{}, nil, zap.NewNop())
		ended := make(chan error, 1)
		go func() { ended <- j.Run(ctx) }()

		time.Sleep(afterFault + time.Second)
		synctest.Wait()
		if len(s.pruned) != 2 || testutil.ToFloat64(j.last) != float64(begun.Unix()) {
			t.Errorf("after a failure it was tried %d times, and says that it went through at %v", len(s.pruned), testutil.ToFloat64(j.last))
		}
		s.set(false, nil)
		time.Sleep(afterFault + every)
		synctest.Wait()
		if len(s.pruned) != 4 || s.held != 0 || time.Since(time.Unix(int64(testutil.ToFloat64(j.last)), 0)) > every {
			t.Errorf("pruned %d times, holding %d locks, last at %v", len(s.pruned), s.held, testutil.ToFloat64(j.last))
		}
		if n := testutil.ToFloat64(j.rows.WithLabelValues("payloads")); n != 28 {
			t.Errorf("%v payloads were counted", n)
		}

		s.set(true, nil)
		time.Sleep(2 * every)
		synctest.Wait()
		if len(s.pruned) != 4 || time.Since(time.Unix(int64(testutil.ToFloat64(j.last)), 0)) > every {
			t.Errorf("while another projector is at it: pruned %d times, last at %v", len(s.pruned), testutil.ToFloat64(j.last))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
