package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/topic"
	cdrschema "github.com/aftercall/aftercall/proto/cdr"
)

func execute(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func check(t *testing.T, eventType, value string) Report {
	t.Helper()
	r, err := Check(eventType, []byte(value), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBothKindsOfDeviationsAndTheSchemasFindingsAreShown(t *testing.T) {
	r := check(t, topic.TypeAgent, `{"CallId":"a","AgentName":7,"WrapupData":[{"Order":[]}],"OUPath":"Root"}`)
	if !r.Deliverable() || r.CallID != "a" || r.OUPath != "Root" || !strings.HasPrefix(r.EventID, "evt_") {
		t.Fatalf("%+v", r)
	}
	want := []Finding{
		{Kind: Warning, Reason: "AgentName is an integer; the schema has a string or null"},
		{Kind: Schema, Field: "/AgentName", Reason: "got number, want string or null"},
		{Kind: Schema, Field: "/WrapupData/0/Order", Reason: "got array, want integer or string or null"},
	}
	if len(r.Findings) != len(want) {
		t.Fatalf("%+v", r.Findings)
	}
	for i, f := range r.Findings {
		if f.Kind != want[i].Kind || f.Field != want[i].Field {
			t.Errorf("finding %d is %+v, want %+v", i, f, want[i])
		}
	}
}

func TestARejectionHasTheRoutersCodeAndField(t *testing.T) {
	for _, c := range []struct{ eventType, value, code, field string }{
		{topic.TypeQueue, `{}`, cdr.CodeCallIDMissing, "/CallId"},
		{topic.TypeQueue, `{"CallId":1.5}`, cdr.CodeCallIDInvalid, "/CallId"},
		{topic.TypeQueue, `[]`, cdr.CodeNotObject, ""},
		{topic.TypeQueue, `{`, cdr.CodeNotJSON, ""},
		{topic.TypeQueue, "{\"\xff\":1}", cdr.CodeNotUTF8, ""},
		{topic.TypeTest, `"x"`, cdr.CodeNotObject, ""},
	} {
		r := check(t, c.eventType, c.value)
		if r.Deliverable() || r.Findings[0].Code != c.code || r.Findings[0].Field != c.field || r.EventID != "" {
			t.Errorf("%s: %+v", c.value, r)
		}
	}
	if r := check(t, topic.TypeTest, `{}`); !r.Deliverable() || len(r.Findings) != 0 {
		t.Errorf("a test without CallId: %+v", r)
	}
}

func TestTheTypeIsGuessedFromPropertiesOfItsOwn(t *testing.T) {
	for _, eventType := range cdrschema.Types() {
		if topic.IsSystem(eventType) {
			continue
		}
		sample, _ := cdrschema.Sample(eventType)
		if got, ok := Guess(sample); !ok || got != eventType {
			t.Errorf("%s is guessed as %q", eventType, got)
		}
	}
	for _, value := range []string{`{"CallId":"a"}`, `[]`, `x`, `{"QueueId":1,"IvrId":1}`} {
		if got, ok := Guess([]byte(value)); ok {
			t.Errorf("%s is guessed as %s", value, got)
		}
	}
}

func TestFilesAreReportedAsJSONLinesInAPipe(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	sample, _ := cdrschema.Sample(topic.TypeQueue)
	for file, text := range map[string]string{good: string(sample), bad: "{"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := execute(t, "", good, bad)
	failed, ok := errors.AsType[*NotDeliverableError](err)
	if !ok || failed.Files != 1 || failed.ExitCode() != 1 {
		t.Fatalf("got %v", err)
	}
	d := json.NewDecoder(strings.NewReader(out))
	var reports []Report
	for d.More() {
		var r Report
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	if len(reports) != 2 || !reports[0].Guessed || len(reports[0].Findings) != 0 || reports[1].Deliverable() {
		t.Fatalf("%s", out)
	}
}

func TestWarningsFailOnlyWhenStrict(t *testing.T) {
	const value = `{"CallId":"a","QueueName":7}`
	if out, err := execute(t, value, "-"); err != nil || !strings.Contains(out, Warning) {
		t.Fatalf("%s, %v", out, err)
	}
	if _, err := execute(t, value, "--strict", "-"); err == nil {
		t.Fatal("--strict does not fail")
	}
}

func TestTheTextForPeopleNamesFileTypeAndVerdict(t *testing.T) {
	var b bytes.Buffer
	r := check(t, topic.TypeQueue, `{"callId":"a","QueueName":7}`)
	r.File, r.Guessed = "cdr.json", true
	if err := text(&b, r); err != nil {
		t.Fatal(err)
	}
	const want = "cdr.json  App.QueueWebhook (guessed)  would be rejected\n" +
		"  rejected  call_id_missing /CallId: there is no CallId; a member's name differs from it in upper and lower case only\n"
	if !strings.HasPrefix(b.String(), want) || !strings.Contains(b.String(), "  schema    /QueueName: ") {
		t.Fatalf("%s", b.String())
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"/does/not/exist"}, "open /does/not/exist"},
		{`{"CallId":"a"}`, []string{"-"}, "name it with --type"},
		{`{}`, []string{"--type", "x", "-"}, `there is no event type "x"`},
	} {
		if _, err := execute(t, c.stdin, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}
