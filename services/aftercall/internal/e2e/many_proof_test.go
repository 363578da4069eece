//go:build proof

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

const (
	manyWaiting  = 5000
	manyReplayed = 10_000
)

func onEach(t *testing.T, body func(t *testing.T, s *stage)) {
	t.Helper()
	onBoth(t, body)
}

func noteMany(t *testing.T, s *stage, fault string, cdrs int, r *verify.Report, limit int, back time.Duration) {
	t.Helper()
	engine := "real Kafka, PostgreSQL"
	if strings.HasPrefix(s.databaseURL, "sqlite:") {
		engine = "embedded broker, SQLite"
	}
	note(t, proven{fault, engine, 1, cdrs, lost(r), r.Repeats, limit, back.Round(10 * time.Millisecond).String()})
}
