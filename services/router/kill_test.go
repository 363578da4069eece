package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/services/router"
)

// asProcess names the broker for a router that runs as a process of its own, so
// that a test can kill it.
const asProcess = "AFTERCALL_TEST_ROUTER_BROKER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(asProcess); addr != "" {
		embedded := os.Getenv(asProcess+"_EMBEDDED") != ""
		c := kafka.Config{Brokers: []string{addr}, EnsureTopics: true, Embedded: embedded, Session: 6 * time.Second}
		if err := router.Run(context.Background(), router.Config{Kafka: c, Instance: "killed"}, router.Deps{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// F1 to F4 by chance: a real kill -9, over and over, anywhere in a transaction.
func TestAKilledRouterLosesNothingAndRepeatsNothing(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		const n = 5000
		var producing sync.WaitGroup
		for part := range slices.Chunk(calls(n), n/8) {
			producing.Go(func() {
				for batch := range slices.Chunk(part, 25) {
					kafkatest.Produce(t, c, batch...)
				}
			})
			before := len(events(t, c))
			cmd := process(t, c)
			kafkatest.WaitFor(t, "progress", func() bool { return len(events(t, c)) > before })
			// A little later, so that the kill falls anywhere in a transaction.
			time.Sleep(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		producing.Wait()
		start(t, c, "killed")
		exactly(t, c, n)
	})
}

// F5, short: a router that stands still for longer than its session, while
// another takes over, and then goes on as if nothing had been.
func TestARouterThatStoodStillIsNoDanger(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		subscribe(t, c, queueSubscription("sub_a"))
		const n = 3000
		all := calls(n)
		kafkatest.Produce(t, c, all[:1000]...)
		cmd := process(t, c)
		kafkatest.WaitFor(t, "progress", func() bool { return len(events(t, c)) > 0 })
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		kafkatest.Produce(t, c, all[1000:2000]...)
		start(t, c, "other")
		// If it stood still inside a transaction, the broker gives its partitions
		// away after a session, but their position only after the transaction's
		// time-out.
		kafkatest.WaitWithin(t, 2*kafkatest.Patience, "the other to take over", func() bool { return len(events(t, c)) == 2000 })
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		kafkatest.Produce(t, c, all[2000:]...)
		exactly(t, c, n)
	})
}

// process runs a router as a process of its own, until the end of the test at
// the latest.
func process(t *testing.T, c kafka.Config) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"="+strings.Join(c.Brokers, ","))
	if c.Embedded {
		cmd.Env = append(cmd.Env, asProcess+"_EMBEDDED=1")
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestTheRouterWorksOnAFakeClockAndLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartVirtual(t).Config()
		subscribe(t, c, queueSubscription("sub_a"))
		r := start(t, c, "r1")
		kafkatest.Produce(t, c, call(0))
		exactly(t, c, 1)
		time.Sleep(72 * time.Hour)
		kafkatest.Produce(t, c, call(1))
		exactly(t, c, 2)
		r.stop()
	})
}

func TestARouterThatEndedLeavesNoGoroutines(t *testing.T) {
	c := kafkatest.Start(t).Config()
	subscribe(t, c, queueSubscription("sub_a"))
	ignored := goleak.IgnoreCurrent()
	r := start(t, c, "r1")
	kafkatest.Produce(t, c, calls(10)...)
	kafkatest.WaitFor(t, "health", func() bool { return r.health.Err() == nil })
	r.stop()
	kafkatest.NothingLeft(t, ignored)
}
