package subscriptions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// The API in these tests is the real one, on SQLite and the embedded broker; its
// resolver knows two names.

type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if text, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(text)}, nil
	}
	return nil, nil
}

// api starts one and answers a client of it.
func api(t *testing.T) *client.Client {
	t.Helper()
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	keyset := secrettest.Keyset(t)
	policy, err := safedial.NewPolicy(safedial.Options{Resolver: names{"crm.example": "93.184.216.34", "bi.example": "93.184.216.35", "inside.example": "10.1.2.3"}})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	token := admin.NewToken()
	if err := admin.EnsureToken(t.Context(), db, token, "test", admin.Scopes()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- admin.Run(ctx, admin.Config{Kafka: broker.Config()}, admin.Deps{
			Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(),
			Store: db, Keyset: keyset, Policy: policy, URLRules: webhook.URLRules{}, Listener: listener, Patience: kafkatest.Patience,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	base := "http://" + listener.Addr().String()
	t.Setenv("AFTERCALL_API", base)
	t.Setenv("AFTERCALL_TOKEN", token)
	c, err := client.New(base, token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, in string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	for _, canary := range []string{"canary", "whsec_"} {
		if strings.Contains(out.String(), canary) || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%v prints a secret: %s %v", args, out.String(), err)
		}
	}
	return out.String(), err
}

func must(t *testing.T, in string, args ...string) string {
	t.Helper()
	out, err := run(t, in, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// actions are what the lines of apply say, name by name.
func actions(t *testing.T, out string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if line == "" {
			continue
		}
		var r report
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all[r.Name] = fmt.Sprintf("%s %v", r.Action, r.Done)
	}
	return all
}

const both = `
subscriptions:
  - name: CRM
    endpoint: HTTPS://CRM.example/hooks
    events: [App.QueueWebhook, App.AgentWebhook]
    description: |
      Two lines,
      of which this is one.
    filter: cdr.TalkTime > 60
    timeout: 20
    rate_limit: 2.5
    signing_secret_env: CRM_SECRET
    headers:
      - {name: X-Api-Key, value_file: key}
      - {name: X-Team, value: "yes", secret: false}
  - name: "BI: \"quoted\" ☎"
    endpoint: https://bi.example/in
    active: false
    events: [App.RecordingWebhook]
    schedule: once
    format: abp
`

func folder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"file.yaml": text, "key": "k-canary\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CRM_SECRET", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	return filepath.Join(dir, "file.yaml")
}

func TestAFileIsAppliedOnceAndItsExportChangesNothing(t *testing.T) {
	c := api(t)
	path := folder(t, both)
	const bi = `BI: "quoted" ☎`
	if got := actions(t, must(t, "", "apply", "-f", path, "--dry-run")); got["CRM"] != "create false" || got[bi] != "create false" {
		t.Errorf("the plan is %v", got)
	}
	if _, err := run(t, "", "apply", "-f", path); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("without --yes: %v", err)
	}
	if _, err := run(t, "", "apply", "-f", path, "--yes"); err == nil || !strings.Contains(err.Error(), "--secrets-out") {
		t.Errorf("a secret would be lost: %v", err)
	}
	if there, err := fetch(t.Context(), c); err != nil || len(there) != 0 {
		t.Fatalf("something was done before it was agreed to: %v %v", there, err)
	}
	kept := filepath.Join(t.TempDir(), "secrets")
	if got := actions(t, must(t, "", "apply", "-f", path, "--yes", "--secrets-out", kept)); got["CRM"] != "create true" || got[bi] != "create true" {
		t.Errorf("created %v", got)
	}
	secrets, err := os.ReadFile(kept)
	if err != nil || strings.Count(string(secrets), "\n") != 1 || !strings.Contains(string(secrets), "whsec_") || !strings.Contains(string(secrets), "whs_") {
		t.Errorf("%d bytes of secrets are kept, %v", len(secrets), err)
	}

	before, err := fetch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"yaml", "json"} {
		exported := must(t, "", "export", "-o", format)
		for name, text := range map[string]string{"the file": both, "the export": exported, "with tabs": strings.ReplaceAll(exported, "  ", map[string]string{"yaml": "  ", "json": "\t"}[format])} {
			file := filepath.Join(filepath.Dir(path), "again")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := actions(t, must(t, "", "apply", "-f", file, "--prune")); len(got) != 2 || got["CRM"] != "unchanged true" || got[bi] != "unchanged true" {
				t.Errorf("%s, %s: %v\n%s", name, format, got, text)
			}
		}
	}
	after, err := fetch(t.Context(), c)
	if err != nil || len(after) != 2 || after[0].Version != before[0].Version || after[1].Version != before[1].Version {
		t.Errorf("%v became %v, %v", before, after, err)
	}
	if out := must(t, "", "get", "CRM"); !strings.Contains(out, `"endpoint":"https://crm.example/hooks"`) {
		t.Errorf("get prints %s", out)
	}
	if out := must(t, "", "list"); strings.Count(out, "\n") != 2 {
		t.Errorf("list prints %s", out)
	}
}

func TestOnlyWhatDiffersIsUpdatedAndOnlyPruneDeletes(t *testing.T) {
	c := api(t)
	path := folder(t, both)
	must(t, "", "apply", "-f", path, "--yes", "--secrets-out", filepath.Join(t.TempDir(), "s"))
	one := "subscriptions:\n" + both[strings.Index(both, "  - name: CRM"):strings.Index(both, `  - name: "BI`)]
	one = strings.ReplaceAll(one, "timeout: 20", "timeout: 10s")
	if got := actions(t, must(t, one, "apply", "-f", "-", "--yes")); got["CRM"] != "update true" || len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := actions(t, must(t, one, "apply", "-f", "-", "--yes")); got["CRM"] != "unchanged true" {
		t.Errorf("applied again: %v", got)
	}
	there, err := fetch(t.Context(), c)
	if err != nil || len(there) != 2 || there[1].Timeout != "10s" || there[1].Headers[0].Value != unchanged {
		t.Fatalf("%v %v", there, err)
	}
	one = strings.ReplaceAll(one, "value_file: key", "value_file: "+filepath.Join(filepath.Dir(path), "key"))
	if got := actions(t, must(t, one, "apply", "-f", "-", "--yes", "--update-secrets")); got["CRM"] != "update true" {
		t.Errorf("--update-secrets: %v", got)
	}
	if got := actions(t, must(t, one, "apply", "-f", "-", "--yes", "--prune")); got["CRM"] != "unchanged true" || got[`BI: "quoted" ☎`] != "delete true" {
		t.Errorf("--prune: %v", got)
	}
	if there, err := fetch(t.Context(), c); err != nil || len(there) != 1 {
		t.Errorf("%v %v", there, err)
	}
}

func TestWhatIsWrongIsNamedByLineAndChangesNothing(t *testing.T) {
	c := api(t)
	for name, want := range map[string]struct{ text, says string }{
		"unknown field":      {"subscriptions:\n- name: A\n  endpoint: https://crm.example\n  event: []\n", `:4: A: there is no field "event"`},
		"unknown in headers": {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  headers:\n  - name: X\n    valeu: 1\n", `:6: A, headers: there is no field "valeu"`},
		"a secret":           {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  signing_secret: whsec-canary\n", `:4: A: a secret does not belong`},
		"a header's secret":  {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  headers:\n  - name: X\n    value: canary\n", `:6: A: headers/0/value: the value of X stands here`},
		"no stored value":    {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  headers:\n  - name: X\n", `:5: A: headers/0/value: there is no stored value`},
		"no variable":        {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  signing_secret_env: NOT_THERE\n", `:4: A: signing_secret: the variable NOT_THERE is empty`},
		"an event":           {"- name: A\n  endpoint: https://crm.example\n  events:\n  - App.QueueWebhook\n  - App.Queue\n", `:5: A: events/1: "App.Queue" is not an event type`},
		"a kind":             {"- name: A\n  endpoint: https://crm.example\n  events: App.QueueWebhook\n", `:3: A: `},
		"a number":           {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n  max_concurrency: many\n", `:4: A: `},
		"twice":              {"- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n- name: A\n  endpoint: https://crm.example\n  events: [App.QueueWebhook]\n", `:4: A: is in line 1 already`},
		"no name":            {"- endpoint: https://crm.example\n  events: [App.QueueWebhook]\n", `:1: a subscription needs a name`},
		"two documents":      {"[]\n---\n[]\n", "more than one document"},
		"no list":            {"a: b\n", `there is no field "a"`},
		"no YAML":            {"a: [\n", "is neither YAML nor JSON"},
		"nothing":            {"", "is empty"},
		"no JSON object":     {"3", "has no list named subscriptions"},
	} {
		path := folder(t, want.text)
		if _, err := run(t, "", "apply", "-f", path, "--yes"); err == nil || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if there, err := fetch(t.Context(), c); err != nil || len(there) != 0 {
		t.Errorf("%v %v", there, err)
	}
}

func TestAPartlyAppliedFileSaysWhatIsLeft(t *testing.T) {
	c := api(t)
	path := folder(t, `
- name: A
  endpoint: https://inside.example/a
  events: [App.QueueWebhook]
  signing_secret_env: CRM_SECRET
- name: B
  endpoint: https://crm.example/b
  events: [App.QueueWebhook]
  signing_secret_env: CRM_SECRET
`)
	out, err := run(t, "", "apply", "-f", path, "--yes")
	var coded *client.ExitError
	if err == nil || !strings.Contains(err.Error(), ":3: A: endpoint: ") || !strings.Contains(err.Error(), "1 of 2 changes were made") {
		t.Errorf("%v", err)
	} else if !errors.As(err, &coded) || coded.Code != client.ExitPartly {
		t.Errorf("the exit status of %T is not that of work half done", err)
	}
	if got := actions(t, out); got["A"] != "create false" || got["B"] != "create true" {
		t.Errorf("%v", got)
	}
	if there, err := fetch(t.Context(), c); err != nil || len(there) != 1 {
		t.Errorf("%v %v", there, err)
	}
}

func TestWhatSomebodyElseChangedIsNotOverwritten(t *testing.T) {
	c := api(t)
	path := folder(t, both)
	must(t, "", "apply", "-f", path, "--yes", "--secrets-out", filepath.Join(t.TempDir(), "s"))
	f, err := read(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	there, err := fetch(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f.hooks[0].MaxConcurrency = 3
	steps, err := plan(f, there, false, false)
	if err != nil || count(steps, actionUpdate) != 1 {
		t.Fatalf("%v %v", steps, err)
	}
	if err := c.Do(t.Context(), "PATCH", "/subscriptions/"+there[1].ID, map[string]any{"active": false}, nil, "If-Match", "*"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	do := &changer{client: c, file: f, out: &out}
	if err := do.apply(t.Context(), pending(steps)); err == nil || !strings.Contains(err.Error(), "somebody changed it") {
		t.Errorf("%v", err)
	}
	if now, err := fetch(t.Context(), c); err != nil || *now[1].Active || now[1].MaxConcurrency == 3 {
		t.Errorf("%v %v", now[1], err)
	}
}

func TestThePlanForPeopleSaysWhatChanges(t *testing.T) {
	yes := true
	current := existing{hook: hook{Name: "A", Description: "\x1b[2J", Endpoint: "https://a.example/", Active: &yes, Events: []string{"App.QueueWebhook"}, Headers: []header{{Name: "X", Value: unchanged}}}, ID: "sub_1"}
	f := &file{name: "f"}
	if err := f.parse([]byte(`[{name: A, endpoint: https://a.example, active: false, events: [App.QueueWebhook], headers: [{name: X}, {name: Y, value: 1, secret: false}]}]`)); err != nil {
		t.Fatal(err)
	}
	steps, err := plan(f, []existing{current, {hook: hook{Name: "B"}}}, true, false)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := show(&out, steps); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"~ update    A", "description: ?[2J → none", "active: true → false", "headers: X: *** → X: ***, Y: 1", "- delete    B", "0 to create, 1 to update, 1 to delete, 0 unchanged"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestJSONKeepsItsLinesAndSignsAsYAML(t *testing.T) {
	text := "{\t\"subscriptions\":[\n\t{\"name\":\"\\ud83d\\ude00 \\/ \\\"x\\\"\",\n\t\"endpoint\":\"https://crm.example\",\"events\":[\"App.QueueWebhook\"]}]}"
	f := &file{name: "f"}
	if err := f.parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if got := f.hooks[0]; got.Name != `😀 / "x"` || f.at(got, "/endpoint", "").line != 3 {
		t.Errorf("%q in line %d", got.Name, f.at(got, "/endpoint", "").line)
	}
}
