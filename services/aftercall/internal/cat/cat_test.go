package cat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

// run is the command line against a broker; it returns its lines.
func run(t *testing.T, c kafka.Config, args ...string) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append(args, "--brokers", strings.Join(c.Brokers, ",")))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
	var lines []map[string]any
	for text := range strings.Lines(out.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestEveryPropertyMarkedPersonalIsMasked(t *testing.T) {
	for _, eventType := range cdrschema.Types() {
		sample, _ := cdrschema.Sample(eventType)
		var before, after map[string]any
		if err := json.Unmarshal(sample, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(maskCDR(sample), &after); err != nil {
			t.Fatal(err)
		}
		if len(after) != len(before) {
			t.Errorf("%s: %d properties of %d", eventType, len(after), len(before))
		}
		for name, v := range before {
			if cdrschema.Personal(name) && v != nil && v != "" && after[name] != "***" {
				t.Errorf("%s: %s is %v", eventType, name, after[name])
			}
		}
	}
}

func TestMaskingKeepsOrderNumbersAndUnknownMembers(t *testing.T) {
	in := `{ "Z": 12345678901234567890, "A": [1, {"CallerNumber": {"x": 1}}, []], "CallerNumber": null, "B": {} , "T": "<&>" }`
	want := `{"Z":12345678901234567890,"A":[1,{"CallerNumber":"***"},[]],"CallerNumber":null,"B":{},"T":"<&>"}`
	if got := string(maskCDR([]byte(in))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatIsNotAJSONObjectIsNotShown(t *testing.T) {
	for _, in := range []string{"", "+4912345678", `"+4912345678"`, `{"CallerNumber":"+4912345678"`, "[1]", "\xff", `{} {}x`, `{} {}`} {
		if got := string(maskCDR([]byte(in))); !strings.Contains(got, fmt.Sprintf("%d bytes", len(in))) || strings.Contains(got, "4912") {
			t.Errorf("%q becomes %s", in, got)
		}
	}
}

func TestSecretsOfInternalRecordsAreNotShown(t *testing.T) {
	for _, r := range []struct {
		topic string
		text  string
	}{
		{topic.Subscriptions, string(lineOf(record.New(topic.Subscriptions, "s", &aftercallv1.Subscription{
			Id: "s", Version: 1, Endpoint: "https://user:hunter2@example.com/in?key=hunter2#hunter2", SealedSecret: []byte("hunter2"),
			SealedPreviousSecret: []byte("hunter2"), SealedAbpSecret: []byte("hunter2"),
			Headers: []*aftercallv1.SubscriptionHeader{{Name: "Authorization", Secret: true, Sealed: []byte("hunter2")}},
		}, time.Now())).Value)},
		{topic.History, string(lineOf(record.New(topic.History, "d", &aftercallv1.Attempt{
			DeliveryId: "d", RequestUrl: "https://example.com/in?key=hunter2", ResponseBody: []byte("hunter2"),
			ResponseHeaders: []*aftercallv1.HttpHeader{{Name: "set-cookie", Value: "hunter2"}, {Name: "Server", Value: "nginx"}},
		}, time.Now())).Value)},
	} {
		// Base64 of the secret would show as much as the secret itself.
		if strings.Contains(r.text, "hunter2") || strings.Contains(r.text, "aHVudGVyMg") {
			t.Errorf("%s: %s", r.topic, r.text)
		}
		if !json.Valid([]byte(r.text)) || !strings.Contains(r.text, "example.com/in") {
			t.Errorf("%s: %s", r.topic, r.text)
		}
	}
}

func TestCatPrintsWhatItIsAskedFor(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		event := func(call, scenario string) {
			kafkatest.Produce(t, c, record.New(topic.Events, "evt_"+call, &aftercallv1.Event{
				EventId: "evt_" + call, CallId: call, ScenarioId: scenario, RoutedAt: timestamppb.Now(),
				Payload: []byte(`{"CallId":"` + call + `","CallerNumber":"+4912345678"}`),
			}, time.Now()))
		}
		event("c1", "s1")
		event("c2", "s1")
		event("c3", "s3")
		newer := record.New(topic.Rejected, "k", &aftercallv1.Rejection{}, time.Now())
		newer.Headers[0].Value = []byte("rejection/9")
		kafkatest.Produce(t, c, newer, kafkatest.CDR(topic.CDRQueue, "k", `{"CallId":"c1","CallerNumber":"1"}`, "ce_id", "1", "x-secret", "hunter2"))

		all := run(t, c, topic.Events)
		if len(all) != 3 || all[0]["record"] != "event/1" {
			t.Fatalf("events: %v", all)
		}
		payload := all[0]["value"].(map[string]any)["payload"].(map[string]any)
		if payload["CallerNumber"] != "***" || payload["CallId"] == nil {
			t.Errorf("payload is %v", payload)
		}
		for args, want := range map[string]int{
			"events --call s1":            2,
			"events --call c3":            1,
			"events --call nobody":        0,
			"events --from now":           0,
			"events --from -1h":           3,
			"events --from -1h --to -30m": 0,
			"cdr.queue --call c1":         1,
			"history":                     0,
		} {
			if got := run(t, c, strings.Fields(args)...); len(got) != want {
				t.Errorf("cat %s: %d lines, want %d", args, len(got), want)
			}
		}
		if got := run(t, c, "rejected"); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["error"]), "rejection/9") {
			t.Errorf("an unknown version: %v", got)
		}
		if got := run(t, c, "cdr.queue"); len(got) != 1 || strings.Contains(fmt.Sprint(got[0]), "hunter2") {
			t.Errorf("a CDR: %v", got)
		}
	})
}

func TestPositionsThatMakeNoSenseAreExplained(t *testing.T) {
	for _, s := range []string{"", "yesterday", "-2", "2h", "-"} {
		if _, err := parsePosition(s, time.Now()); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}
