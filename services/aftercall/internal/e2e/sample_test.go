package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Half of what it answers are errors: a breaker that took it for broken would probe
// with first attempts, fail again, and stay open.
func TestTheSampleThatFailsOnceTakesEveryRetryAndOpensNoBreaker(t *testing.T) {
	const calls = 12 // a breaker needs 10 attempts to open
	folder := t.TempDir()
	p := launch(t, folder, "aftercall", []string{"dev", "--data", filepath.Join(folder, "data"), "--calls", "0",
		"--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--receiver-listen", "127.0.0.1:0"}, nil)
	lines := func(has ...string) (found []string) {
		if p.ended() {
			t.Fatal("dev ended")
		}
	line:
		for _, l := range p.lines() {
			for _, text := range has {
				if !strings.Contains(l, text) {
					continue line
				}
			}
			found = append(found, l)
		}
		return found
	}
	wait(t, "the broker's address", func() bool { return len(lines("Broker ")) == 1 })
	k := kafka.Config{Brokers: []string{strings.Fields(lines("Broker ")[0])[1]}}
	var ended []*kgo.Record
	for i := range calls {
		ended = append(ended, kafkatest.CDR(topic.CDRQueue, "", fmt.Sprintf(`{"CallId":"c-%d"}`, i)))
	}
	kafkatest.Produce(t, k, ended...)
	wait(t, "every retry to be taken", func() bool { return len(lines("→ /flaky", "200, delivered on attempt 2")) == calls })
	for _, r := range kafkatest.ReadAll(t, k, topic.History) {
		m, err := record.Open(r)
		if err != nil {
			t.Fatal(err)
		}
		if change, ok := m.(*aftercallv1.EndpointChange); ok && change.GetKind() == aftercallv1.EndpointChange_KIND_BREAKER_OPENED {
			t.Errorf("a breaker opened: %v", change)
		}
	}
	p.stop()
}
