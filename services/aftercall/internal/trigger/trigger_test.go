package trigger

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestOneEditedCDRArrives(t *testing.T) {
	broker := kafkatest.Start(t)
	printed, err := execute(t, "queue", "--brokers", broker.Addr, "--set", "CallerNumber=+15550123", "--set", "CallLength=42", "--id", "id-1", "--tenant", "contoso")
	if err != nil {
		t.Fatal(err)
	}
	records := kafkatest.ReadAll(t, broker.Config(), topic.CDRQueue)
	if len(records) != 1 || string(records[0].Value) != strings.TrimSpace(printed) {
		t.Fatalf("%d records, printed %s", len(records), printed)
	}
	in := cdr.Input{Topic: topic.CDRQueue, TypeOfTopic: topic.TypeQueue, Value: records[0].Value, Timestamp: records[0].Timestamp}
	for _, h := range records[0].Headers {
		in.Headers = append(in.Headers, cdr.Header{Key: h.Key, Value: h.Value})
	}
	got, err := cdr.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	if got.CeID != "id-1" || got.Tenant != "contoso" || !strings.HasPrefix(got.CallID, "sample-") || len(got.Warnings) != 0 {
		t.Fatalf("%+v", got)
	}
	var members map[string]any
	if err := json.Unmarshal(records[0].Value, &members); err != nil {
		t.Fatal(err)
	}
	if members["CallerNumber"] != "+15550123" || members["CallLength"] != 42.0 || members["QueueName"] != "Sales EMEA" {
		t.Fatalf("%v", members)
	}
}

func TestATestGoesToTheTestTopicUnderItsType(t *testing.T) {
	broker := kafkatest.Start(t)
	if _, err := execute(t, "App.RecordingWebhook", "--brokers", broker.Addr, "--test"); err != nil {
		t.Fatal(err)
	}
	records := kafkatest.ReadAll(t, broker.Config(), topic.CDRTest)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	for _, h := range records[0].Headers {
		if h.Key == "ce_type" && string(h.Value) == topic.TypeRecording {
			return
		}
	}
	t.Fatalf("headers %v", records[0].Headers)
}

func TestAFileWithoutEditsIsSentByteForByte(t *testing.T) {
	broker := kafkatest.Start(t)
	file := filepath.Join(t.TempDir(), "cdr.json")
	text := "{ \"CallId\":\t7, \"x\" : 1.0 }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, "ivr", "--brokers", broker.Addr, "--file", file); err != nil {
		t.Fatal(err)
	}
	records := kafkatest.ReadAll(t, broker.Config(), topic.CDRIvr)
	if len(records) != 1 || string(records[0].Value) != text || string(records[0].Key) != "7" {
		t.Fatalf("%d records", len(records))
	}
}

func TestWhatTheRouterWouldRejectIsNotSent(t *testing.T) {
	broker := kafkatest.Start(t)
	_, err := execute(t, "queue", "--brokers", broker.Addr, "--unset", "CallId")
	if err == nil || !strings.Contains(err.Error(), "call_id_missing (/CallId)") {
		t.Fatalf("got %v", err)
	}
	if records := kafkatest.ReadAll(t, broker.Config(), topic.CDRQueue); len(records) != 0 {
		t.Fatalf("%d records", len(records))
	}
}

func TestEachCallIsANewEventThatEndsNow(t *testing.T) {
	seen := map[string]bool{}
	for range 5 {
		printed, err := execute(t, "agent", "--print")
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			CallId, ScenarioId         string
			StartDateTime, EndDateTime time.Time
		}
		if err := json.Unmarshal([]byte(printed), &c); err != nil {
			t.Fatal(err)
		}
		if seen[c.CallId] || seen[c.ScenarioId] || !strings.HasPrefix(c.CallId, "sample-") {
			t.Fatalf("%+v", c)
		}
		seen[c.CallId], seen[c.ScenarioId] = true, true
		if age := time.Since(c.EndDateTime); age < -time.Second || age > time.Minute {
			t.Fatalf("ended %s ago", age)
		}
		if c.EndDateTime.Sub(c.StartDateTime) != 132875*time.Millisecond {
			t.Fatalf("lasted %s", c.EndDateTime.Sub(c.StartDateTime))
		}
	}
}

func TestEditsTakeTheTypeOfTheirProperty(t *testing.T) {
	for _, c := range []struct{ edit, want string }{
		{"CallerName=42", `{"CallId":"a","CallerName":"42"}`},
		{"CallerName=null", `{"CallId":"a","CallerName":null}`},
		{`CallerName="null"`, `{"CallId":"a","CallerName":"null"}`},
		{"CallerName=<A & B>", `{"CallId":"a","CallerName":"<A & B>"}`},
		{"CallerNumber=+15550123", `{"CallId":"a","CallerNumber":"+15550123"}`},
		{"CallId=42", `{"CallId":42}`},
		{"CallId=1.5", `{"CallId":"1.5"}`},
		{`CallId="42"`, `{"CallId":"42"}`},
		{"CallLength=1.5", `{"CallId":"a","CallLength":1.5}`},
		{"CallLength=00:01:30", `{"CallId":"a","CallLength":"00:01:30"}`},
		{"MetServiceLevel=true", `{"CallId":"a","MetServiceLevel":true}`},
		{"MetServiceLevel=True", `{"CallId":"a","MetServiceLevel":"True"}`},
		{`Brand={"new": [1]}`, `{"CallId":"a","Brand":{"new":[1]}}`},
		{"Brand=a=b", `{"CallId":"a","Brand":"a=b"}`},
		{"Brand=", `{"CallId":"a","Brand":""}`},
	} {
		doc, err := Read(topic.TypeQueue, []byte(`{"CallId":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Set(c.edit); err != nil {
			t.Fatal(err)
		}
		if got := string(doc.JSON()); got != c.want {
			t.Errorf("%s gives %s, want %s", c.edit, got, c.want)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"queues"}, `there is no event type "queues"; there are App.IvrWebhook`},
		{[]string{"queue", "--set", "x"}, `--set: "x" is not NAME=VALUE`},
		{[]string{"queue", "--unset", "Nothing", "--print"}, "--unset: there is no Nothing in the CDR"},
		{[]string{"queue", "--file", "/does/not/exist"}, "reading the CDR: open /does/not/exist"},
	} {
		if _, err := execute(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestTypesHaveShortNames(t *testing.T) {
	for word, want := range map[string]string{"queue": topic.TypeQueue, "IVR": topic.TypeIvr, "app.agentwebhook": topic.TypeAgent, "recording": topic.TypeRecording, "test": topic.TypeTest} {
		if got, err := Type(word); err != nil || got != want {
			t.Errorf("%s is %s, %v", word, got, err)
		}
	}
}

func TestEverySampleCanBeTriggered(t *testing.T) {
	for _, eventType := range cdrschema.Types() {
		if _, err := execute(t, eventType, "--print"); err != nil {
			t.Errorf("%s: %v", eventType, err)
		}
	}
}
