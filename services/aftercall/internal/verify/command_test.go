package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// onKafka puts a planted run's records on a broker and lets the groups finish
// them all.
func (p *planted) onKafka(t *testing.T) kafka.Config {
	t.Helper()
	return p.on(t, kafkatest.Start(t).Config())
}

func (p *planted) on(t *testing.T, c kafka.Config) kafka.Config {
	t.Helper()
	producer := kafkatest.Client(t, c, append(c.Producer(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	for _, r := range p.Records {
		if r.Timestamp.IsZero() {
			r.Timestamp = start
		}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	p.commit(t, c, topic.GroupRouter, topic.CDRQueue)
	p.commit(t, c, topic.GroupSender, topic.Deliveries)
	p.commit(t, c, topic.GroupMover, topic.Tiers[0].Topic)
	return c
}

// commit lets a group finish all of a topic but the last few records of its
// partition 0.
func (p *planted) commit(t *testing.T, c kafka.Config, group, name string, but ...int64) {
	t.Helper()
	at := p.ends()[group][name][0]
	for _, n := range but {
		at -= n
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: name, At: at, LeaderEpoch: -1})
	if err := kafkatest.Admin(t, c).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

// command runs verify over the planted run's day and answers its lines by kind,
// and its exit status.
func command(t *testing.T, c kafka.Config, args ...string) (lines map[string][]map[string]any, code int) {
	t.Helper()
	t.Chdir(t.TempDir()) // where no token is
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(append([]string{"--brokers", c.Brokers[0], "--from", "2026-03-01", "--to", "2026-03-02"}, args...))
	ctx, cancel := context.WithTimeout(t.Context(), kafkatest.Patience)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	var exit *client.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case err != nil:
		t.Fatalf("an error without an exit status: %v", err)
	}
	lines = map[string][]map[string]any{"error": {{"text": fmt.Sprint(err)}}}
	for text := range strings.Lines(out.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		kind := l["kind"].(string)
		lines[kind] = append(lines[kind], l)
	}
	if len(lines["verdict"]) == 0 {
		lines["verdict"] = []map[string]any{{}}
	}
	return lines, code
}

func TestTheCommandProvesARunWithoutAFault(t *testing.T) {
	p := run(t)
	lines, code := command(t, p.onKafka(t))
	if code != 0 || len(lines["fault"]) != 0 || len(lines["gap"]) != 0 {
		t.Fatalf("exit status %d: %v", code, lines)
	}
	for name, want := range map[string]any{"verdict": "proven", "cdrs": 11.0, "events": 10.0, "rejections": 1.0, "deliveries": 20.0, "delivered": 20.0, "attempts": 30.0, "waiting": 0.0} {
		if got := lines["verdict"][0][name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, l := range lines["invariant"] {
		if _, says := l["unchecked"]; says != (l["invariant"] == "I1" || l["invariant"] == "I5" || l["invariant"] == "I7" || l["invariant"] == "I11") {
			t.Errorf("%v", l)
		}
	}
}

func TestTheCommandTellsOnARealKafkaToo(t *testing.T) {
	c := kafkatest.Real(t)
	p := run(t)
	p.drop(topic.History, 0)
	lines, code := command(t, p.on(t, c))
	v := lines["verdict"][0]
	if code != 1 || v["cdrs"] != 11.0 || v["delivered"] != 19.0 || len(lines["fault"]) != 1 || lines["fault"][0]["invariant"] != "I9" {
		t.Errorf("exit status %d: %v %v", code, v, lines["fault"])
	}
	// The sender has not finished it.
	p.commit(t, c, topic.GroupSender, topic.Deliveries, 20)
	if lines, code = command(t, c); code != 0 || lines["verdict"][0]["queued"] != 1.0 {
		t.Errorf("exit status %d: %v %v", code, lines["verdict"], lines["fault"])
	}
}

func TestAHangingTransactionIsSaid(t *testing.T) {
	c := kafkatest.Start(t).Config()
	owner := kafkatest.Client(t, c, kgo.TransactionalID("aftercall-router-gone"))
	if err := owner.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := owner.ProduceSync(t.Context(), kafkatest.CDR(topic.Events, "", "x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	names, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	_, err = newLook(t.Context(), c, kafkatest.Client(t, c), names, 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "a transaction on aftercall.events/0 has been open") {
		t.Errorf("%v", err)
	}
}

func TestRecordsOfANewerVersionLeaveThingsUnproven(t *testing.T) {
	p := run(t)
	newer := record.New(topic.History, "k", &aftercallv1.Attempt{}, start)
	newer.Headers[0].Value = []byte("attempt/9")
	p.Records = append(p.Records, newer)
	lines, code := command(t, p.onKafka(t))
	if v := lines["verdict"][0]; code != 2 || v["verdict"] != "unknown" || v["records_of_newer_versions"] != 1.0 {
		t.Errorf("exit status %d: %v", code, v)
	}
}

func TestTheCommandNamesWhatWasPlantedOnKafka(t *testing.T) {
	for _, tc := range []struct {
		fault, invariant, offender string
		plant                      func(p *planted)
	}{
		{"a CDR neither event nor rejected", "I1", "aftercall.cdr.queue/0@10", func(p *planted) { p.drop(topic.Rejected, 0) }},
		{"a dropped event", "I2", "last at aftercall.deliveries/0@", func(p *planted) { p.drop(topic.Events, 3) }},
		{"a dropped delivery", "I2", "of event evt_2", func(p *planted) { p.drop(topic.Deliveries, 4) }},
		{"an invented delivery", "I2", "dlv_invented, last at aftercall.deliveries/0@20", func(p *planted) {
			p.produce(topic.Deliveries, "k", &aftercallv1.Delivery{
				DeliveryId: "dlv_invented", EventId: "evt_invented", Attempt: 1, Position: &aftercallv1.Position{Topic: topic.CDRQueue, Offset: 3},
			}, start)
		}},
		{"an attempt that history lost", "I9", "aftercall.deliveries/0@0", func(p *planted) { p.drop(topic.History, 0) }},
		{"a retry before it was due", "I8", "attempt 2", func(p *planted) {
			change(p, topic.History, 1, func(a *aftercallv1.Attempt) { a.NextAttemptAt.Seconds += 60 })
		}},
	} {
		t.Run(strings.ReplaceAll(tc.fault, " ", "_"), func(t *testing.T) {
			p := run(t)
			tc.plant(p)
			lines, code := command(t, p.onKafka(t))
			if code != 1 || lines["verdict"][0]["verdict"] != "broken" {
				t.Errorf("exit status %d: %v", code, lines["verdict"])
			}
			named := false
			for _, l := range lines["fault"] {
				named = named || l["invariant"] == tc.invariant && strings.Contains(fmt.Sprint(l["first"]), tc.offender)
				if tc.fault == "a dropped event" && l["invariant"] == "I9" {
					t.Errorf("what was sent is called unfinished: %v", l)
				}
			}
			if !named {
				t.Errorf("no fault of %s names %s: %v", tc.invariant, tc.offender, lines["fault"])
			}
		})
	}
}

func TestPartsOfASpanAddUpToTheWhole(t *testing.T) {
	p := run(t)
	p.drop(topic.Rejected, 0)
	// The later CDRs come in the evening.
	for _, r := range p.Records {
		if r.Topic == topic.CDRQueue && r.Offset >= 5 {
			r.Timestamp = start.Add(10 * time.Hour)
		}
	}
	c := p.onKafka(t)
	path := filepath.Join(t.TempDir(), "cdrs.jsonl")
	text := ""
	for _, offset := range []int{1, 8, 4711} {
		text += fmt.Sprintf(`{"topic":"aftercall.cdr.queue","partition":0,"offset":%d}`+"\n", offset)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, code := command(t, c, "--cdrs", path)
	parts, codeOfParts := command(t, c, "--cdrs", path, "--slice", "7h")
	if code != 1 || codeOfParts != 1 || fmt.Sprint(whole) != fmt.Sprint(parts) {
		t.Errorf("exit status %d and %d:\n%v\n%v", code, codeOfParts, whole, parts)
	}
	if v := parts["verdict"][0]; v["cdrs"] != 11.0 || v["acknowledgements"] != 2.0 || v["acknowledgements_elsewhere"] != 1.0 {
		t.Errorf("%v", v)
	}
}

func TestWhatNobodyHasComeToYetIsNotLost(t *testing.T) {
	p := run(t)
	p.drop(topic.Rejected, 0) // of the last CDR
	p.drop(topic.History, 29) // of the last delivery's second attempt
	c := p.onKafka(t)
	p.commit(t, c, topic.GroupRouter, topic.CDRQueue, 1)
	p.commit(t, c, topic.GroupMover, topic.Tiers[0].Topic, 1)
	lines, code := command(t, c)
	if v := lines["verdict"][0]; code != 0 || v["not_routed_yet"] != 1.0 || v["waiting"] != 1.0 || v["overdue"] != 1.0 || v["next_due"] == nil {
		t.Errorf("exit status %d: %v, %v", code, v, lines["fault"])
	}
}

func TestWhatWasRemovedFromALogIsSaidAndNotCalledLost(t *testing.T) {
	p := run(t)
	c := p.onKafka(t)
	remove := func(name string, until int64) {
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: name, At: until, LeaderEpoch: -1})
		if _, err := kafkatest.Admin(t, c).DeleteRecords(t.Context(), offsets); err != nil {
			t.Fatal(err)
		}
	}
	remove(topic.History, 2)
	lines, code := command(t, c)
	if code != 2 || lines["verdict"][0]["verdict"] != "unknown" || len(lines["gap"]) != 1 {
		t.Fatalf("exit status %d: %v", code, lines)
	}
	if g := lines["gap"][0]; g["topic"] != topic.History || g["removed"] != 2.0 || g["starts_at"] != "2026-03-01T10:00:06Z" {
		t.Errorf("%v", g)
	}
}

func TestTheCommandSaysWhenItCannotLook(t *testing.T) {
	_, code := command(t, kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	if code != 2 {
		t.Errorf("exit status %d without a broker", code)
	}
	lines, code := command(t, run(t).onKafka(t), "--token-file", "no-such-file")
	if code != 2 || !strings.Contains(fmt.Sprint(lines["error"]), "no-such-file") {
		t.Errorf("exit status %d: %v", code, lines["error"])
	}
}

// logFile writes entries as a receiver does.
func logFile(t *testing.T, entries []listen.Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := listen.Printer(f, true)
	for _, e := range entries {
		line(e)
	}
	return path
}

func TestAReceiversLogIsHeldAgainstTheHistory(t *testing.T) {
	signing := webhook.NewSecret(bytes.NewReader(secret))
	for _, tc := range []struct {
		fault, invariant string
		plant            func(p *planted)
	}{
		{"nothing", "", func(*planted) {}},
		{"a wrong signature", "I7", func(p *planted) { p.Requests[7].Headers.Set(webhook.HeaderSignature, "v1,AAAA") }},
		{"another webhook-id", "I7", func(p *planted) { p.Requests[2].WebhookID = "evt_9" }},
		{"an early attempt", "I8", func(p *planted) { p.Requests[2].Time = p.Requests[2].Time.Add(-4 * time.Second) }},
		{"a refusal that history calls delivered", "I5", func(p *planted) { p.Requests[3].Status = 500 }},
		{"a request that history lost", "I5", func(p *planted) { p.drop(topic.History, 1) }},
	} {
		t.Run(strings.ReplaceAll(tc.fault, " ", "_"), func(t *testing.T) {
			p := run(t)
			// The log of a receiver goes on after what is looked at.
			later := p.Requests[0]
			later.DeliveryID, later.WebhookID, later.Time = "dlv_of_another_day", "evt_of_another_day", start.Add(time.Hour)
			p.Requests = append(p.Requests, later)
			tc.plant(p)
			lines, code := command(t, p.onKafka(t), "--requests", logFile(t, p.Requests), "--secret", signing)
			if (code != 0) != (tc.invariant != "") {
				t.Fatalf("exit status %d: %v", code, lines["fault"])
			}
			named := tc.invariant == ""
			for _, l := range lines["fault"] {
				named = named || l["invariant"] == tc.invariant
			}
			if !named {
				t.Errorf("not caught as %s: %v", tc.invariant, lines["fault"])
			}
			if got := lines["verdict"][0]["requests"]; got != 30.0 {
				t.Errorf("%v requests were judged", got)
			}
		})
	}
}

func TestAProducersLogIsHeldAgainstTheTopic(t *testing.T) {
	p := run(t)
	c := p.onKafka(t)
	path := filepath.Join(t.TempDir(), "cdrs.jsonl")
	text := `{"topic":"aftercall.cdr.queue","partition":0,"offset":1,"value":"{\"CallId\": \"1\"}"}
{"topic":"aftercall.cdr.queue","partition":0,"offset":2}
{"topic":"aftercall.cdr.queue","partition":0,"offset":4711}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, code := command(t, c, "--cdrs", path)
	if v := lines["verdict"][0]; code != 0 || v["acknowledgements"] != 2.0 || v["acknowledgements_elsewhere"] != 1.0 {
		t.Errorf("exit status %d: %v %v", code, v, lines["fault"])
	}
	if err := os.WriteFile(path, []byte(`{"topic":"aftercall.cdr.queue","partition":0,"offset":1,"value":"{\"CallId\": \"9\"}"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, code = command(t, c, "--cdrs", path); code != 1 || len(lines["fault"]) != 1 || lines["fault"][0]["invariant"] != "I1" {
		t.Errorf("exit status %d: %v", code, lines["fault"])
	}
}
