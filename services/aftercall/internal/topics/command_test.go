package topics

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

func TestTopicsThatAreThereAreVerifiedAndAMissingOneIsNamed(t *testing.T) {
	b, err := embedded.Start(embedded.Config{ClusterID: "a cluster"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	run := func() (string, error) {
		var out bytes.Buffer
		cmd := Command()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(nil)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	t.Setenv("AFTERCALL_BROKERS", strings.Join(b.Kafka().Brokers, ","))
	t.Setenv("AFTERCALL_ENSURE_TOPICS", "false")
	// The embedded broker's own settings are not those of a cluster.
	adm := kafkatest.Admin(t, b.Kafka())
	there, err := adm.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopics(t.Context(), there.Names()...); err != nil {
		t.Fatal(err)
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "aftercall.history") {
		t.Errorf("%v while a topic is missing", err)
	}
	t.Setenv("AFTERCALL_ENSURE_TOPICS", "true")
	if out, err := run(); err != nil || !strings.Contains(out, "topics are there") {
		t.Errorf("%s %v", out, err)
	}
	if there, err := adm.ListTopics(t.Context(), "aftercall.history"); err != nil || !there.Has("aftercall.history") {
		t.Errorf("it was not made: %v", err)
	}
}

func TestWithoutABrokerTheOneNearbyIsNamedAndTaken(t *testing.T) {
	b := kafkatest.Start(t)
	usual = b.Addr
	t.Cleanup(func() { usual = broker.Default })
	t.Setenv("AFTERCALL_BROKERS", "")
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := Command()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	want := "a one-process edition seems to run on this machine: --brokers " + b.Addr
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "AFTERCALL_BROKERS") || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	if out, err := run("--brokers", b.Addr); err != nil || !strings.Contains(out, "topics are there") {
		t.Errorf("%s %v", out, err)
	}
	usual = "127.0.0.1:1"
	if _, err := run(); err == nil || strings.Contains(err.Error(), "one-process") {
		t.Errorf("with nobody nearby: %v", err)
	}
}
