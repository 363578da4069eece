package topics

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
)

func TestTopicsThatAreThereAreVerifiedAndAMissingOneIsNamed(t *testing.T) {
	b := kafkatest.Start(t)
	run := func() (string, error) {
		var out bytes.Buffer
		cmd := Command()
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(nil)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	t.Setenv("AFTERCALL_BROKERS", strings.Join(b.Config().Brokers, ","))
	t.Setenv("AFTERCALL_ENSURE_TOPICS", "false")
	// The embedded broker's own settings are not those of a cluster.
	adm := kafkatest.Admin(t, b.Config())
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
