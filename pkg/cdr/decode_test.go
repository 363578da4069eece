package cdr

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

var recordTime = time.Date(2026, 3, 2, 10, 15, 0, 0, time.UTC)

// sharedCase is one line of the table that the upstream client is held to as
// well.
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
	OUPath string `json:"ou_path"`
}

func (c sharedCase) bytes(t testing.TB) []byte {
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

func sharedCases(t testing.TB) []sharedCase {
	text, err := os.ReadFile("../cdrclient/testdata/cases.json")
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
	return table.Cases
}

func inputOf(eventType string, value []byte) Input {
	in := Input{Topic: topic.CDRQueue, TypeOfTopic: eventType, Value: value, Timestamp: recordTime}
	if eventType == topic.TypeTest {
		in.Topic, in.TypeOfTopic = topic.CDRTest, ""
	}
	if topic.IsSystem(eventType) {
		in.Topic, in.TypeOfTopic, in.Headers = topic.CDRSystem, "", []Header{header(HeaderType, eventType)}
	}
	return in
}

func TestDecodeKeepsToTheSharedTable(t *testing.T) {
	for _, c := range sharedCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			got, err := Decode(inputOf(c.Type, c.bytes(t)))
			if c.Code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if got.CallID != c.CallID || got.OUPath != c.OUPath {
					t.Fatalf("CallID %q, OUPath %q; want %q, %q", got.CallID, got.OUPath, c.CallID, c.OUPath)
				}
				return
			}
			rejected, ok := errors.AsType[*Rejected](err)
			if !ok {
				t.Fatalf("accepted as %+v, want %s", got, c.Code)
			}
			if rejected.Code != c.Code || rejected.Field != c.Field || rejected.Reason == "" {
				t.Fatalf("got %+v, want code %s, field %q", rejected, c.Code, c.Field)
			}
		})
	}
}

func queue(headers ...Header) Input {
	in := inputOf(topic.TypeQueue, []byte(`{"CallId":"a"}`))
	in.Headers = headers
	return in
}

func header(key, value string) Header { return Header{key, []byte(value)} }

func mustDecode(t testing.TB, in Input) *CDR {
	t.Helper()
	got, err := Decode(in)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return got
}

func wantRejected(t testing.TB, in Input, code, field string) {
	t.Helper()
	got, err := Decode(in)
	rejected, ok := errors.AsType[*Rejected](err)
	if !ok {
		t.Fatalf("accepted as %+v, want %s", got, code)
	}
	if rejected.Code != code || rejected.Field != field {
		t.Fatalf("got %+v, want code %s, field %q", rejected, code, field)
	}
}

func TestACDRWithoutHeadersHasDefaults(t *testing.T) {
	got := mustDecode(t, queue())
	if got.Tenant != "default" || got.Type != topic.TypeQueue || got.Cause != CauseCallEnded || !got.OccurredAt.Equal(recordTime) {
		t.Fatalf("got %+v", got)
	}
	if len(got.Warnings) != 0 {
		t.Fatalf("warnings %q", got.Warnings)
	}
}

func TestHeadersAreTaken(t *testing.T) {
	got := mustDecode(t, queue(
		header(HeaderID, "id-1"), header(HeaderSource, "contoso/pbx"), header(HeaderType, topic.TypeQueue),
		header(HeaderTime, "2026-03-02T11:14:59.25+01:00"), header(HeaderTenant, "contoso"),
		header(HeaderTraceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
		header("content-type", "application/json"),
	))
	want := CDR{
		CeID: "id-1", Source: "contoso/pbx", Type: topic.TypeQueue, Tenant: "contoso", CallID: "a", Cause: CauseCallEnded,
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		OccurredAt:  time.Date(2026, 3, 2, 10, 14, 59, 250e6, time.UTC),
		EventID:     EventID("contoso", "contoso/pbx", topic.TypeQueue, "id-1", "a", []byte(`{"CallId":"a"}`)),
	}
	if len(got.Warnings) != 0 {
		t.Fatalf("warnings %q", got.Warnings)
	}
	got.Warnings = nil
	if !got.OccurredAt.Equal(want.OccurredAt) {
		t.Fatalf("occurred at %v", got.OccurredAt)
	}
	got.OccurredAt = want.OccurredAt
	if g, w := mustJSON(t, got), mustJSON(t, want); g != w {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
}

func mustJSON(t testing.TB, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAFaultyInformativeHeaderIsIgnoredWithAWarningThatNamesIt(t *testing.T) {
	for _, c := range []struct{ name, key, value string }{
		{"ce_id not UTF-8", HeaderID, "\xff"},
		{"ce_id too long", HeaderID, strings.Repeat("x", MaxHeader+1)},
		{"ce_id with CRLF", HeaderID, "a\r\nb"},
		{"ce_source with NUL", HeaderSource, "a\x00"},
		{"ce_time without a zone", HeaderTime, "2026-03-02T10:00:00"},
		{"ce_time a number", HeaderTime, "1772445600"},
		{"ce_time in year 0", HeaderTime, "0000-01-01T00:00:00Z"},
		{"ce_time in a leap second", HeaderTime, "2016-12-31T23:59:60Z"},
		{"traceparent garbage", HeaderTraceparent, "garbage"},
		{"traceparent of zeros", HeaderTraceparent, "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
		{"traceparent with CRLF", HeaderTraceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\r\n"},
		{"a target outside the test topic", HeaderTarget, "sub_1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustDecode(t, queue(header(c.key, c.value)))
			if got.CeID != "" || got.Source != "" || got.Traceparent != "" || got.TargetSubscription != "" || !got.OccurredAt.Equal(recordTime) {
				t.Fatalf("not ignored: %+v", got)
			}
			if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], c.key) {
				t.Fatalf("warnings %q", got.Warnings)
			}
		})
	}
}

func TestAFaultyHeaderThatSteersTheRecordRejectsIt(t *testing.T) {
	wantRejected(t, queue(header(HeaderTenant, "\xff")), CodeHeaderInvalid, HeaderTenant)
	wantRejected(t, queue(header(HeaderTenant, strings.Repeat("x", 300))), CodeHeaderInvalid, HeaderTenant)
	in := inputOf(topic.TypeTest, []byte(`{}`))
	in.Headers = []Header{header(HeaderTarget, "sub\n1")}
	wantRejected(t, in, CodeHeaderInvalid, HeaderTarget)
}

func TestACeTypeThatContradictsTheTopicIsRejected(t *testing.T) {
	wantRejected(t, queue(header(HeaderType, topic.TypeIvr)), CodeTypeContradiction, HeaderType)
	wantRejected(t, queue(header(HeaderType, "app.queuewebhook")), CodeTypeContradiction, HeaderType)
	wantRejected(t, queue(header(HeaderType, "\xff")), CodeTypeContradiction, HeaderType)
	wantRejected(t, queue(header(HeaderType, topic.TypeQueue), header(HeaderType, topic.TypeIvr)), CodeTypeContradiction, HeaderType)
	if got := mustDecode(t, queue(header(HeaderType, ""))); got.Type != topic.TypeQueue {
		t.Fatalf("an empty ce_type counts as %q", got.Type)
	}
}

func TestTheTestTopicAcceptsEveryTypeAndNeedsNoCallId(t *testing.T) {
	in := inputOf(topic.TypeTest, []byte(`{"Message":"hello"}`))
	got := mustDecode(t, in)
	if got.Type != topic.TypeTest || got.Cause != CauseTest || got.CallID != "" {
		t.Fatalf("got %+v", got)
	}
	in.Headers = []Header{header(HeaderType, topic.TypeRecording), header(HeaderTarget, "sub_1")}
	in.Value = []byte(`{"CallId":"sample-1","OuPath":"Root/Sales"}`)
	got = mustDecode(t, in)
	if got.Type != topic.TypeRecording || got.Cause != CauseTest || got.CallID != "sample-1" || got.TargetSubscription != "sub_1" || got.OUPath != "Root/Sales" {
		t.Fatalf("got %+v", got)
	}
	in.Value = []byte(`{"CallId":{}}`)
	if got = mustDecode(t, in); got.CallID != "" || len(got.Warnings) != 1 {
		t.Fatalf("got %+v", got)
	}
	in.Value = []byte(`[]`)
	wantRejected(t, in, CodeNotObject, "")
}

func TestTheSystemTopicNeedsATypeAndNoCallId(t *testing.T) {
	in := Input{Topic: topic.CDRSystem, Value: []byte(`{"Subscription":"sub_1"}`), Timestamp: recordTime}
	wantRejected(t, in, CodeTypeContradiction, HeaderType)
	in.Headers = []Header{header(HeaderType, "Aftercall.EndpointFailing")}
	if got := mustDecode(t, in); got.Type != "Aftercall.EndpointFailing" || got.Cause != CauseCallEnded {
		t.Fatalf("got %+v", got)
	}
	for _, other := range []string{topic.TypeQueue, "Aftercall.EndpointWell"} {
		in.Headers = []Header{header(HeaderType, other)}
		wantRejected(t, in, CodeTypeContradiction, HeaderType)
	}
}

func TestLinksAndPath(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name, eventType, value   string
		scenario, parent, ouPath string
		warnings                 int
	}{
		{"strings", topic.TypeQueue, `{"CallId":"a","ScenarioId":"s","ParentId":"p","OUPath":"Root/Sales"}`, "s", "p", "Root/Sales", 0},
		{"integers", topic.TypeQueue, `{"CallId":"a","ScenarioId":1,"ParentId":2}`, "1", "2", "", 0},
		{"null", topic.TypeQueue, `{"CallId":"a","ScenarioId":null,"ParentId":null,"OUPath":null}`, "", "", "", 0},
		{`"Null"`, topic.TypeQueue, `{"CallId":"a","ScenarioId":"Null","ParentId":"null","OUPath":"Null"}`, "", "", "", 0},
		{"empty", topic.TypeQueue, `{"CallId":"a","ScenarioId":"","ParentId":"","OUPath":""}`, "", "", "", 0},
		{"too long", topic.TypeQueue, `{"CallId":"a","ScenarioId":"` + long + `","ParentId":"` + long + `","OUPath":"` + long + `"}`, "", "", "", 3},
		{"NUL", topic.TypeQueue, `{"CallId":"a","ScenarioId":"s\u0000","OUPath":"Root\u0000"}`, "s\uFFFD", "", "Root\uFFFD", 2},
		{"a recording's spelling", topic.TypeRecording, `{"CallId":"a","OUPath":"wrong","OuPath":"Root"}`, "", "", "Root", 0},
		{"a queue call's spelling", topic.TypeQueue, `{"CallId":"a","OUPath":"Root","OuPath":"wrong"}`, "", "", "Root", 0},
		{"the other spelling on a recording", topic.TypeRecording, `{"CallId":"a","OUPath":"Root"}`, "", "", "Root", 1},
		{"the other spelling on a queue call", topic.TypeQueue, `{"CallId":"a","OuPath":"Root"}`, "", "", "Root", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustDecode(t, inputOf(c.eventType, []byte(c.value)))
			if got.ScenarioID != c.scenario || got.ParentID != c.parent || got.OUPath != c.ouPath {
				t.Fatalf("got %+v", got)
			}
			if len(got.Warnings) != c.warnings {
				t.Fatalf("warnings %q, want %d", got.Warnings, c.warnings)
			}
		})
	}
}

func TestARecordWithoutAUsableTimestampStaysInTheRange(t *testing.T) {
	for _, ts := range []time.Time{{}, time.UnixMilli(-1), time.UnixMilli(0), time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		in := queue()
		in.Timestamp = ts
		got := mustDecode(t, in)
		if got.OccurredAt.Unix() != 0 || len(got.Warnings) != 1 {
			t.Fatalf("%v: occurred at %v, warnings %q", ts, got.OccurredAt, got.Warnings)
		}
	}
}

func TestAHundredThousandHeadersAreRead(t *testing.T) {
	in := queue(make([]Header, 100_000)...)
	for i := range in.Headers {
		in.Headers[i] = header(HeaderTraceparent, "garbage")
	}
	if got := mustDecode(t, in); len(got.Warnings) != 1 {
		t.Fatalf("%d warnings", len(got.Warnings))
	}
}

func TestTheCapIsConfigurable(t *testing.T) {
	in := queue()
	in.MaxBytes = len(in.Value)
	mustDecode(t, in)
	in.MaxBytes--
	wantRejected(t, in, CodeTooLarge, "")
	in = inputOf(topic.TypeQueue, make([]byte, 100<<20))
	wantRejected(t, in, CodeTooLarge, "")
}

func TestTheSameRecordIsTheSameEventAndAnyDifferenceIsAnother(t *testing.T) {
	base := mustDecode(t, queue()).EventID
	if !strings.HasPrefix(base, "evt_") || len(base) != 56 || strings.ToLower(base) != base || strings.Contains(base, ".") {
		t.Fatalf("event id %q", base)
	}
	later := queue()
	later.Timestamp, later.Key = recordTime.Add(time.Hour), []byte("a")
	later.Headers = []Header{header(HeaderTime, "2026-03-02T10:00:00Z")}
	if got := mustDecode(t, later).EventID; got != base {
		t.Fatal("time and key change the identity")
	}
	seen := map[string]string{base: "base"}
	for name, in := range map[string]Input{
		"another value":      inputOf(topic.TypeQueue, []byte(`{"CallId":"a" }`)),
		"another type":       inputOf(topic.TypeIvr, []byte(`{"CallId":"a"}`)),
		"a tenant":           queue(header(HeaderTenant, "t")),
		"a source":           queue(header(HeaderSource, "t")),
		"an id":              queue(header(HeaderID, "a")),
		"another id":         queue(header(HeaderID, "b")),
		"an id and a source": queue(header(HeaderID, "a"), header(HeaderSource, "t")),
	} {
		id := mustDecode(t, in).EventID
		if other, dup := seen[id]; dup {
			t.Fatalf("%s is the same event as %s", name, other)
		}
		seen[id] = name
	}
	one, two := queue(header(HeaderID, "x")), queue(header(HeaderID, "x"))
	two.Value = []byte(`{"CallId":"b","corrected":true}`)
	if mustDecode(t, one).EventID != mustDecode(t, two).EventID {
		t.Fatal("with a ce_id the value must not count")
	}
}

func TestIdentitiesDoNotRunTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []string {
			return rapid.SliceOfN(rapid.StringN(0, 4, 8), 5, 5).Draw(t, name)
		}
		a, b := draw("a"), draw("b")
		same := mustJSON(nil, a) == mustJSON(nil, b)
		x := EventID(a[0], a[1], a[2], "", a[3], []byte(a[4]))
		y := EventID(b[0], b[1], b[2], "", b[3], []byte(b[4]))
		if (x == y) != same {
			t.Fatalf("%q and %q: %s, %s", a, b, x, y)
		}
		x, y = DeliveryID(a[0], a[1], a[2], a[3]), DeliveryID(b[0], b[1], b[2], b[3])
		if (x == y) != (mustJSON(nil, a[:4]) == mustJSON(nil, b[:4])) {
			t.Fatalf("%q and %q: %s, %s", a, b, x, y)
		}
	})
}

func TestIdentitiesAreStableOverVersions(t *testing.T) {
	// Written down once: a change of these strands every delivery in flight.
	got := []string{
		EventID("default", "", "App.QueueWebhook", "", "8f3c", []byte(`{"CallId":"8f3c"}`)),
		EventID("default", "pbx", "App.QueueWebhook", "id-1", "8f3c", []byte(`{"CallId":"8f3c"}`)),
		DeliveryID("evt_x", "sub_y", "call_ended", ""),
	}
	want := []string{
		"evt_5h3esjsb4qylqzsz2gpbwnmz5cyzag6kobsxzr2sf4k3zdb4ytnq",
		"evt_ezgkyhl2upzzapdpr3q3hznyleitczo3am7d626cppqzed6fz7ia",
		"dlv_b6ailzbruvajr3okttmkp3xl7i",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
}

func TestNoReasonAndNoWarningRepeatsAValue(t *testing.T) {
	const secret = "+15550100"
	for _, in := range []Input{
		inputOf(topic.TypeQueue, []byte(`{"CallId":{"n":"`+secret+`"}}`)),
		inputOf(topic.TypeQueue, []byte(`{"CallId":"a","n":"`+secret+`"`)),
		inputOf(topic.TypeQueue, []byte(`{"CallId":"a","QueueName":{"`+secret+`":1},"CallLength":["`+secret+`"],"MetServiceLevel":"`+secret+`"}`)),
		queue(header(HeaderType, secret), header(HeaderID, secret+"\n"), header(HeaderTenant, secret+"\n"), header(HeaderTime, secret), header(HeaderTraceparent, secret)),
	} {
		got, err := Decode(in)
		var said string
		if err != nil {
			said = err.Error()
		} else {
			said = strings.Join(got.Warnings, "\n")
		}
		if strings.Contains(said, secret) {
			t.Errorf("repeats the value: %s", said)
		}
	}
}

func TestDeviationsFromTheSchemaAreWarningsThatNameTheField(t *testing.T) {
	for _, c := range []struct{ name, eventType, value, want string }{
		{"a number for a name", topic.TypeQueue, `{"CallId":"a","QueueName":7}`, "QueueName is an integer; the schema has a string or null"},
		{"an array for a duration", topic.TypeQueue, `{"CallId":"a","CallLength":[1]}`, "CallLength is an array; the schema has a string or a number or null"},
		{"a fraction for an id", topic.TypeQueue, `{"CallId":"a","QueueId":1.5}`, "QueueId is a number with fraction or exponent; the schema has a string or an integer or null"},
		{"yes for a flag", topic.TypeQueue, `{"CallId":"a","MetServiceLevel":"yes"}`, `MetServiceLevel is neither "True" nor "False"`},
		{"an object for a list", topic.TypeAgent, `{"CallId":"a","WrapupData":{}}`, "WrapupData is an object; the schema has null or an array"},
		{"a name twice", topic.TypeQueue, `{"CallId":"a","QueueName":"x","QueueName":"x"}`, "QueueName stands more than once; the last one counts"},
		{"the id twice", topic.TypeQueue, `{"CallId":"a","CallId":"b"}`, "CallId stands more than once; the last one counts"},
		{"a name in escapes", topic.TypeQueue, `{"CallId":"a","Queue\u004eame":7}`, "QueueName is an integer; the schema has a string or null"},
		{"what another type has", topic.TypeIvr, `{"CallId":"a","MetServiceLevel":7}`, ""},
		{"all that is left open", topic.TypeQueue, `{"CallId":7,"QueueId":7,"AgentId":"7","CallLength":1e9,"WaitTime":"00:01","TalkTime":null,"MetServiceLevel":false}`, ""},
		{"a flag as text", topic.TypeAgent, `{"CallId":"a","IsDirectCall":"Tru\u0065"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(mustDecode(t, inputOf(c.eventType, []byte(c.value))).Warnings, "; ")
			if got != c.want {
				t.Fatalf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

func TestSamplesHaveNoWarnings(t *testing.T) {
	for _, eventType := range cdrschema.Types() {
		sample, _ := cdrschema.Sample(eventType)
		if got := mustDecode(t, inputOf(eventType, sample)); len(got.Warnings) != 0 || got.Type != eventType {
			t.Errorf("%s: %+v", eventType, got)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	value := `{"CallId":"a"` + strings.Repeat(`,"QueueName":7`, 1000) + `}`
	got := mustDecode(t, inputOf(topic.TypeQueue, []byte(value))).Warnings
	if len(got) != maxWarnings+1 || got[maxWarnings] != "and 1983 more" {
		t.Fatalf("%d warnings, the last one %q", len(got), got[len(got)-1])
	}
}

func TestAnUnknownTypeOnTheTestTopicIsAWarning(t *testing.T) {
	in := inputOf(topic.TypeTest, []byte(`{"CallId":"a"}`))
	in.Headers = []Header{header(HeaderType, "App.Nonsense")}
	if got := mustDecode(t, in); got.Type != "App.Nonsense" || len(got.Warnings) != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestATopicOfItsOwnTypeIsTakenAsItIs(t *testing.T) {
	in := Input{Topic: "contoso.queue.v2", TypeOfTopic: "Contoso.Special", Value: []byte(`{"CallId":"a","OUPath":"Root"}`), Timestamp: recordTime}
	if got := mustDecode(t, in); got.Type != "Contoso.Special" || got.OUPath != "Root" || got.Cause != CauseCallEnded {
		t.Fatalf("got %+v", got)
	}
}

func TestWhateverTheHeadersAreTheOutcomeCanBeStored(t *testing.T) {
	keys := []string{HeaderID, HeaderSource, HeaderType, HeaderTime, HeaderTenant, HeaderTraceparent, HeaderTarget, "other"}
	rapid.Check(t, func(t *rapid.T) {
		in := Input{
			Topic:       rapid.SampledFrom([]string{topic.CDRQueue, topic.CDRTest, topic.CDRSystem}).Draw(t, "topic"),
			Value:       []byte(`{"CallId":"a"}`),
			Timestamp:   time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "timestamp")),
			TypeOfTopic: "",
		}
		if in.Topic == topic.CDRQueue {
			in.TypeOfTopic = topic.TypeQueue
		}
		for range rapid.IntRange(0, 10).Draw(t, "headers") {
			in.Headers = append(in.Headers, Header{rapid.SampledFrom(keys).Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")})
		}
		got, err := Decode(in)
		if err != nil {
			if _, ok := errors.AsType[*Rejected](err); !ok {
				t.Fatalf("the error is %#v", err)
			}
			return
		}
		for _, s := range append(got.Warnings, got.Tenant, got.Source, got.CeID, got.Type, got.Traceparent, got.TargetSubscription) {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r\n") {
				t.Fatalf("%q is no text that a store and a header can hold", s)
			}
		}
		if got.Tenant == "" || got.Type == "" || got.EventID == "" || !plausible(got.OccurredAt) && got.OccurredAt.Unix() != 0 {
			t.Fatalf("%+v", got)
		}
	})
}
