package verify

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
	"github.com/aftercall/aftercall/services/aftercall/internal/trigger"
)

func TestWhatOurOwnProducersLogIsLookedUp(t *testing.T) {
	c := kafkatest.Start(t).Config()
	path := filepath.Join(t.TempDir(), "cdrs.jsonl")
	produce := func(cmd *cobra.Command, args ...string) {
		t.Helper()
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		cmd.SetArgs(append(args, "--brokers", c.Brokers[0], "--log", path))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	produce(simulate.Command(), "--calls", "3", "--rate", "100", "--mix", "answered")
	produce(trigger.Command(), "queue", "--set", "CallerNumber=+15550123")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "15550123") {
		t.Error("the log holds what a CDR says")
	}
	// Answered calls have four records each; the trigger's is one more.
	records := kafkatest.ReadAll(t, c, topic.CDRQueue, topic.CDRIvr, topic.CDRAgent, topic.CDRRecording)
	lines := slices.Collect(strings.Lines(string(text)))
	if len(lines) != len(records) || len(lines) < 4 {
		t.Fatalf("%d lines for %d records:\n%s", len(lines), len(records), text)
	}
	span := []string{"--from", "-1h", "--to", "now", "--cdrs", path}
	said, code := command(t, c, span...)
	if v := said["verdict"][0]; code != 0 || v["cdrs"] != float64(len(lines)) || v["acknowledgements"] != float64(len(lines)) {
		t.Errorf("exit status %d: %v %v", code, v, said)
	}
	// A line whose record says something else, or is not there.
	var first map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	first["sha256"] = strings.Repeat("0", 64)
	wrong, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(wrong, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, code = command(t, c, span...); code != 1 || len(said["fault"]) != 1 || said["fault"][0]["invariant"] != "I1" {
		t.Errorf("exit status %d: %v", code, said)
	}
}
