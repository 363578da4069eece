package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// proof is what aftercall verify says: its lines by kind, and its exit status.
func proof(t *testing.T, args ...string) (map[string][]map[string]any, int) {
	t.Helper()
	p := launch(t, t.TempDir(), "aftercall", append([]string{"verify", "--from", "-1h"}, args...), nil)
	code := p.exit(2 * patience)
	lines := map[string][]map[string]any{"verdict": {{}}}
	for _, text := range p.lines() {
		var l map[string]any
		if json.Unmarshal([]byte(text), &l) != nil {
			t.Log(text)
			continue
		}
		kind := l["kind"].(string)
		if kind == "verdict" {
			lines[kind] = nil
		}
		lines[kind] = append(lines[kind], l)
	}
	return lines, code
}

func TestVerifyProvesTheOneProcessEditionAndNamesARecordThatIsMissing(t *testing.T) {
	const n = 30
	d, _ := newOneProcess(t, filepath.Join(t.TempDir(), "data"), topic.TypeRecording, listen.Options{})
	<-d.upstream.send(topic.CDRRecording, n, 400)
	kafkatest.Produce(t, d.kafka(), kafkatest.CDR(topic.CDRRecording, "", "no CDR"))
	d.judge(n, 0)

	log := filepath.Join(d.folder, "requests.jsonl")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	line := listen.Printer(f, true)
	for _, e := range d.receiver.log() {
		line(e)
	}
	f.Close()
	lines, code := proof(t, "--brokers", d.broker, "--api", "http://"+d.console, "--token-file", filepath.Join(d.data, "admin.token"),
		"--requests", log, "--secret", signingSecret)
	v := lines["verdict"][0]
	if code != 0 || v["verdict"] != "proven" || v["cdrs"] != n+1.0 || v["rejections"] != 1.0 || v["requests"] != 1.0*n {
		t.Fatalf("exit status %d: %v %v", code, v, lines["fault"])
	}
	for _, l := range lines["invariant"] {
		if l["invariant"] == "I11" && (l["unchecked"] != nil || l["checked"] != v["deliveries"]) {
			t.Errorf("the store was not compared: %v of %v", l, v["deliveries"])
		}
	}

	records := kafkatest.ReadAll(t, d.kafka(), everyTopic()...)
	ended := ""
	for _, r := range records {
		if a, err := record.OpenAs[*aftercallv1.Attempt](r); err == nil && a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			ended = a.GetDeliveryId()
		}
	}
	for _, tc := range []struct {
		removed, invariant string
		is                 func(*kgo.Record) bool
	}{
		{"nothing", "", func(*kgo.Record) bool { return false }},
		{"an event", "I1", func(r *kgo.Record) bool { return r.Topic == topic.Events }},
		{"a rejection", "I1", func(r *kgo.Record) bool { return r.Topic == topic.Rejected }},
		{"a delivery", "I2", func(r *kgo.Record) bool { return r.Topic == topic.Deliveries }},
		{"the attempt that ended a delivery", "I9", func(r *kgo.Record) bool {
			a, err := record.OpenAs[*aftercallv1.Attempt](r)
			return err == nil && a.GetDeliveryId() == ended && a.GetState() == aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED
		}},
	} {
		t.Run(strings.ReplaceAll(tc.removed, " ", "_"), func(t *testing.T) {
			gone := false
			left := slices.DeleteFunc(slices.Clone(records), func(r *kgo.Record) bool {
				remove := !gone && tc.is(r)
				gone = gone || remove
				return remove
			})
			lines, code := proof(t, "--brokers", copied(t, left).Brokers[0])
			if tc.invariant == "" {
				if code != 0 {
					t.Errorf("exit status %d: %v", code, lines["fault"])
				}
				return
			}
			named := slices.ContainsFunc(lines["fault"], func(l map[string]any) bool { return l["invariant"] == tc.invariant })
			if code != 1 || !gone || !named {
				t.Errorf("exit status %d, want a fault of %s: %v", code, tc.invariant, lines["fault"])
			}
		})
	}
}

// copied is a broker with these records, all of which the groups have finished.
func copied(t *testing.T, records []*kgo.Record) kafka.Config {
	t.Helper()
	c := kafkatest.Start(t).Config()
	producer := kafkatest.Client(t, c, append(c.Producer(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	ends := kadm.Offsets{}
	for _, r := range records {
		r := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		ends.AddOffset(r.Topic, r.Partition, r.Offset+1, -1)
	}
	for _, group := range []string{topic.GroupRouter, topic.GroupSender, topic.GroupMover} {
		if err := kafkatest.Admin(t, c).CommitAllOffsets(t.Context(), group, ends); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
