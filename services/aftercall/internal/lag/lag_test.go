package lag_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/lag"
)

func TestLagIsWhatIsWrittenAndNotCommitted(t *testing.T) {
	c := kafkatest.Start(t).Config()
	kafkatest.Produce(t, c, kafkatest.CDR(topic.CDRQueue, "", `{}`), kafkatest.CDR(topic.CDRQueue, "", `{}`), kafkatest.CDR(topic.CDRQueue, "", `{}`),
		kafkatest.CDR(topic.Tiers[2].Topic, "", "x"))
	var o kadm.Offsets
	o.AddOffset(topic.CDRQueue, 0, 2, -1)
	if err := kafkatest.Admin(t, c).CommitAllOffsets(t.Context(), topic.GroupRouter, o); err != nil {
		t.Fatal(err)
	}
	rows, err := lag.Measure(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{topic.CDRQueue: 1, topic.Tiers[2].Topic: 1}
	for _, r := range rows {
		if r.Records != want[r.Topic] || r.Members != 0 || r.Partitions < 1 {
			t.Errorf("%+v, want %d records", r, want[r.Topic])
		}
	}
	if len(rows) != 18 {
		t.Errorf("%d rows", len(rows))
	}

	cmd := lag.Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--brokers", c.Brokers[0]})
	if err := cmd.ExecuteContext(t.Context()); err != nil || strings.Count(out.String(), "\n") != len(rows) || !strings.Contains(out.String(), `"topic":"aftercall.cdr.queue","records":1`) {
		t.Errorf("it prints %s, %v", out.String(), err)
	}
	if _, err := lag.Measure(t.Context(), kafka.Config{Brokers: []string{"127.0.0.1:1"}}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("without a broker: %v", err)
	}
}

func TestLagOfFurtherSourcesIsTheRoutersToo(t *testing.T) {
	c := kafkatest.Start(t).Config()
	const other = "contoso.queue.v2"
	if _, err := kafkatest.Admin(t, c).CreateTopics(t.Context(), 2, 1, nil, other); err != nil {
		t.Fatal(err)
	}
	kafkatest.Produce(t, c, kafkatest.CDR(other, "", `{}`), kafkatest.CDR(other, "", `{}`))
	t.Setenv("AFTERCALL_SOURCES", other+"=App.QueueWebhook,contoso.later=App.IvrWebhook")
	cmd := lag.Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--brokers", c.Brokers[0]})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"topic":"contoso.queue.v2","records":2,"partitions":2`, `"topic":"contoso.later","records":0,"partitions":0`} {
		if !strings.Contains(out.String(), `{"group":"aftercall-router",`+want) {
			t.Errorf("want %s in\n%s", want, out.String())
		}
	}
	t.Setenv("AFTERCALL_SOURCES", "aftercall.rejected=App.QueueWebhook")
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "AFTERCALL_SOURCES") {
		t.Errorf("a source that is none: %v", err)
	}
}
