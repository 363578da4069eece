//go:build !proof

package e2e

import "testing"

// The short forms: make proof runs the long ones, on a real Kafka too.
const (
	manyWaiting  = 1500
	manyReplayed = 2000
)

func onEach(t *testing.T, body func(t *testing.T, s *stage)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { body(t, onEmbedded(t)) })
}
