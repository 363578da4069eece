package cdrclient

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

type sharedCase struct {
	Name     string
	Type     string
	Value    string
	ValueHex string `json:"value_hex"`
	Generate *struct {
		Prefix, Repeat, Middle, Close, Suffix string
		Times                                 int
	}
	Code   string
	Field  string
	CallID string `json:"call_id"`
}

func (c sharedCase) bytes(t *testing.T) []byte {
	switch {
	case c.Generate != nil:
		g := c.Generate
		return []byte(g.Prefix + strings.Repeat(g.Repeat, g.Times) + g.Middle + strings.Repeat(g.Close, g.Times) + g.Suffix)
	case c.ValueHex != "":
		b, err := hex.DecodeString(c.ValueHex)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return []byte(c.Value)
}

// The router's decoder runs through the same table.
func TestSendRefusesWhatTheRouterWouldReject(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Cases []sharedCase }
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 50 {
		t.Fatalf("the table has only %d cases", len(table.Cases))
	}
	c := client(t, Config{})
	for _, line := range table.Cases {
		t.Run(line.Name, func(t *testing.T) {
			value := line.bytes(t)
			record, _, err := c.record(Raw{line.Type, value}, time.Now())
			if same := Validate(line.Type, value); (same == nil) != (err == nil) {
				t.Fatalf("Validate says %v, Send %v", same, err)
			}
			if line.Code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				// The router's searches replace NUL, the key does not.
				if got := strings.ReplaceAll(string(record.Key), "\x00", "\uFFFD"); got != line.CallID {
					t.Fatalf("key %q, want %q", got, line.CallID)
				}
				if string(record.Value) != string(value) {
					t.Fatal("the value was changed")
				}
				return
			}
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || invalid.Code != line.Code || invalid.Field != line.Field || invalid.Reason == "" {
				t.Fatalf("got %v, want %s, field %q", err, line.Code, line.Field)
			}
		})
	}
}

func client(t *testing.T, config Config) *Client {
	t.Helper()
	if config.Brokers == nil {
		config.Brokers = []string{"127.0.0.1:1"}
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func headers(m kafka.Message) map[string]string {
	all := map[string]string{}
	for _, h := range m.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}

var sentAt = time.Date(2026, 3, 2, 10, 20, 0, 0, time.UTC)

func TestARecordHasItsTopicKeyAndHeaders(t *testing.T) {
	c := client(t, Config{Source: "contoso/pbx", Tenant: "contoso", Topics: map[string]string{"App.AgentWebhook": "contoso.agent"}})
	ended := time.Date(2026, 3, 2, 10, 15, 4, 875e6, time.UTC)
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, line := range []struct {
		name       string
		cdr        CDR
		topic, key string
		headers    map[string]string
	}{
		{"typed", QueueCDR{CallId: "8f3c", EndDateTime: At(ended)}, "aftercall.cdr.queue", "8f3c",
			map[string]string{"ce_type": "App.QueueWebhook", "ce_source": "contoso/pbx", "aftercall-tenant": "contoso", "ce_time": "2026-03-02T10:15:04.875Z"}},
		{"without an end", IvrCDR{CallId: "8f3c"}, "aftercall.cdr.ivr", "8f3c",
			map[string]string{"ce_type": "App.IvrWebhook", "ce_source": "contoso/pbx", "aftercall-tenant": "contoso", "ce_time": "2026-03-02T10:20:00.000Z"}},
		{"a topic of one's own", Raw{"App.AgentWebhook", []byte(`{"CallId":42}`)}, "contoso.agent", "42",
			map[string]string{"ce_type": "App.AgentWebhook", "ce_source": "contoso/pbx", "aftercall-tenant": "contoso", "ce_time": "2026-03-02T10:20:00.000Z"}},
		{"a message", Message{CDR: RecordingCDR{CallId: "r"}, ID: "id-1", Time: ended, Source: "s", Tenant: "t", Traceparent: trace}, "aftercall.cdr.recording", "r",
			map[string]string{"ce_id": "id-1", "ce_type": "App.RecordingWebhook", "ce_source": "s", "aftercall-tenant": "t", "ce_time": "2026-03-02T10:15:04.875Z", "traceparent": trace}},
		{"a test", TestCDR{Message: "hello"}, "aftercall.cdr.test", "",
			map[string]string{"ce_type": "App.TestWebhook", "ce_source": "contoso/pbx", "aftercall-tenant": "contoso", "ce_time": "2026-03-02T10:20:00.000Z"}},
		{"a queue call as a test", Message{CDR: QueueCDR{QueueName: "Sales"}, Test: true}, "aftercall.cdr.test", "",
			map[string]string{"ce_type": "App.QueueWebhook", "ce_source": "contoso/pbx", "aftercall-tenant": "contoso", "ce_time": "2026-03-02T10:20:00.000Z"}},
	} {
		t.Run(line.name, func(t *testing.T) {
			got, _, err := c.record(line.cdr, sentAt)
			if err != nil {
				t.Fatal(err)
			}
			if got.Topic != line.topic || string(got.Key) != line.key || !reflect.DeepEqual(headers(got), line.headers) {
				t.Fatalf("topic %s, key %q, headers %v", got.Topic, got.Key, headers(got))
			}
		})
	}
	bare, _, err := client(t, Config{}).record(QueueCDR{CallId: "a"}, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"ce_type": "App.QueueWebhook", "ce_time": "2026-03-02T10:20:00.000Z"}; !reflect.DeepEqual(headers(bare), want) {
		t.Fatalf("headers %v", headers(bare))
	}
}

func TestHeadersThatTheRouterWouldRejectOrIgnoreAreRefused(t *testing.T) {
	c := client(t, Config{})
	for _, m := range []Message{
		{ID: "a\r\nb"}, {ID: strings.Repeat("x", MaxHeader+1)}, {Source: "\xff"}, {Tenant: "a\x00"},
	} {
		m.CDR = QueueCDR{CallId: "a"}
		if _, _, err := c.record(m, sentAt); err == nil || !strings.Contains(err.Error(), "header_invalid") {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

func TestNothingIsSentWhenOneCDRIsInvalid(t *testing.T) {
	err := client(t, Config{}).Send(t.Context(),
		QueueCDR{CallId: "good"},
		QueueCDR{QueueName: "Sales"},
		nil,
		Raw{"App.Nonsense", []byte(`{"CallId":"x"}`)},
	)
	failed, ok := errors.AsType[*SendError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var at []int
	for _, f := range failed.Failures {
		at = append(at, f.Index)
	}
	if !slices.Equal(at, []int{1, 2, 3}) || failed.Of != 4 {
		t.Fatalf("failures at %v of %d", at, failed.Of)
	}
	if _, ok := errors.AsType[*InvalidError](err); !ok {
		t.Fatal("the failures' own errors cannot be reached")
	}
	const want = "3 of 4 CDRs not sent: CDR 1 (App.QueueWebhook): call_id_missing (/CallId): there is no CallId"
	if !strings.Contains(err.Error(), want) {
		t.Fatalf("error %q, want %q in it", err, want)
	}
}

func TestAnUnreachableBrokerIsNamedForEachCDR(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c := client(t, Config{Brokers: []string{address}, Attempts: 1})
	err = c.Send(t.Context(), QueueCDR{CallId: "one"}, QueueCDR{CallId: "two"})
	failed, ok := errors.AsType[*SendError](err)
	if !ok || len(failed.Failures) != 2 || failed.Failures[1].CallID != "two" {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("the error does not say where and why: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Ping(ctx); err == nil || !strings.Contains(err.Error(), address) {
		t.Fatalf("Ping: %v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, config := range []Config{{}, {Brokers: []string{"kafka"}}, {Brokers: []string{"kafka:9092"}, Source: "a\nb"}, {Brokers: []string{"kafka:9092"}, Tenant: "\xff"}} {
		if c, err := New(config); err == nil {
			c.Close()
			t.Errorf("%+v is accepted", config)
		}
	}
}

func TestNoCDRsAreNoWork(t *testing.T) {
	if err := client(t, Config{}).Send(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Only ids change on the way through the types: they are sent as strings.
func TestTypedCDRsCarryEveryPropertyOfTheSamples(t *testing.T) {
	for file, cdr := range map[string]any{
		"ivr": &IvrCDR{}, "queue": &QueueCDR{}, "agent": &AgentCDR{}, "recording": &RecordingCDR{}, "test": &TestCDR{},
	} {
		text, err := os.ReadFile("../../proto/cdr/v1/" + file + ".sample.json")
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("the samples are not here: this module stands outside its repository")
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, cdr); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		again, err := encode(cdr.(CDR))
		if err != nil {
			t.Fatal(err)
		}
		got, want := members(t, again), members(t, text)
		for name, value := range want {
			if value == nil {
				delete(want, name) // the zero value is left out
			}
			if n, ok := value.(json.Number); ok && strings.HasSuffix(name, "Id") {
				want[name] = n.String()
			}
		}
		for _, m := range []map[string]any{got, want} {
			for _, list := range []string{"IvrInputs", "WrapupData"} {
				elements, _ := m[list].([]any)
				for _, e := range elements {
					for _, id := range []string{"ID", "QuestionId"} {
						if n, ok := e.(map[string]any)[id].(json.Number); ok {
							e.(map[string]any)[id] = n.String()
						}
					}
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v\nwant %v", file, got, want)
		}
	}
}

func members(t *testing.T, text []byte) map[string]any {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScalarsReadAndWriteWhatTheWireAllows(t *testing.T) {
	text := `{"CallId":7,"QueueId":"q","MetServiceLevel":true,"CallLength":"00:02:33","WaitTime":1.5,"TalkTime":null,"AgentId":null}`
	var q QueueCDR
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		t.Fatal(err)
	}
	if q.CallId != "7" || q.QueueId != "q" || q.MetServiceLevel != True || q.CallLength.String() != "00:02:33" || q.WaitTime.String() != "1.5" || q.TalkTime != (Value{}) || q.AgentId != "" {
		t.Fatalf("read %+v", q)
	}
	out, err := encode(q)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"CallId":"7","CallLength":"00:02:33","WaitTime":1.5,"QueueId":"q","MetServiceLevel":"True"}`; string(out) != want {
		t.Fatalf("wrote %s, want %s", out, want)
	}
	out, err = encode(AgentCDR{CallId: "a", IsDirectCall: FlagOf(false), WrapupTime: Seconds(1500 * time.Millisecond), CallLength: Number(0), AgentName: "<A & B>",
		WrapupData: []WrapupAnswer{{QuestionId: "5", Order: Number(1), Answer: Bool(true)}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"CallId":"a","CallLength":0,"AgentName":"<A & B>","IsDirectCall":"False","WrapupTime":1.5,"WrapupData":[{"QuestionId":"5","Order":1,"Answer":true}]}`; string(out) != want {
		t.Fatalf("wrote %s, want %s", out, want)
	}
	for _, bad := range []string{`{"CallId":{}}`, `{"CallLength":[]}`, `{"MetServiceLevel":1}`} {
		if json.Unmarshal([]byte(bad), new(QueueCDR)) == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

func TestATextThatIsNotUTF8IsRefusedNotDamaged(t *testing.T) {
	c := client(t, Config{})
	for _, bad := range []CDR{
		QueueCDR{CallId: "a", CallerName: "Andr\xe9"},
		IvrCDR{CallId: "a", DataValue01: Text("Andr\xe9")},
		RecordingCDR{CallId: "a", Transcription: []TranscribedPhrase{{Phrase: "caf\xe9"}}},
	} {
		if _, _, err := c.record(bad, sentAt); err == nil || !strings.Contains(err.Error(), "not_utf8") {
			t.Errorf("%T: %v", bad, err)
		}
	}
	for _, good := range []CDR{
		QueueCDR{CallId: "a", CallerName: "André \uFFFD"},
		QueueCDR{CallId: "a", CallerName: `\ufffd \\ufffd`},
		IvrCDR{CallId: "a", DataValue01: Text("\uFFFD")},
	} {
		if _, _, err := c.record(good, sentAt); err != nil {
			t.Errorf("%T: %v", good, err)
		}
	}
}

func TestOnlyTheFirstFailuresAreSpelledOut(t *testing.T) {
	e := &SendError{Of: 9}
	for i := range 9 {
		e.Failures = append(e.Failures, Failure{Index: i, EventType: "App.QueueWebhook", Err: errors.New("no")})
	}
	if text := e.Error(); !strings.HasSuffix(text, "; and 4 more") || strings.Count(text, "CDR ") != 5 {
		t.Fatal(text)
	}
}
