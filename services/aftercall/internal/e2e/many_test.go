//go:build !proof

package e2e

import (
	"testing"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// The short forms: make proof runs the long ones, on a real Kafka too.
const (
	manyWaiting  = 800
	manyReplayed = 1500
)

func onEach(t *testing.T, body func(t *testing.T, s *stage)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { body(t, onEmbedded(t)) })
}

// noteMany is for the long form.
func noteMany(*testing.T, *stage, string, int, *verify.Report, int, time.Duration) {}
