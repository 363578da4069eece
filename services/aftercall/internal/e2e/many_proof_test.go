//go:build proof

package e2e

import "testing"

const (
	manyWaiting  = 5000
	manyReplayed = 10_000
)

func onEach(t *testing.T, body func(t *testing.T, s *stage)) {
	t.Helper()
	onBoth(t, body)
}
