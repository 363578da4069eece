package kafkatest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// NothingLeft fails the test when goroutines run on that are not among those of
// before, which goleak.IgnoreCurrent makes. It gives them [Patience] to end: goleak
// by itself gives them a second.
func NothingLeft(t testing.TB, before goleak.Option) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		left := goleak.Find(before)
		if left == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(left)
		}
	}
}
