package importer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// What is doubled here: the API, by a server that answers as it does.

const (
	idA = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
	idB = "7f9619ff-8b86-d011-b42d-00c04fc964ff"
	idC = "8f9619ff-8b86-d011-b42d-00c04fc964ff"

	secretA = "whs_0123456789abcdef0123456789abcdef"
	secretB = "whs_fedcba9876543210fedcba9876543210"
)

const exportJSON = `[
 {"Id":"6F9619FF-8B86-D011-B42D-00C04FC964FF","CreationTime":"2021-05-01T10:00:00","TenantId":1,"WebhookUri":"https://crm.example.com/hooks/calls?key=q-canary",
  "Secret":"` + secretA + `","IsActive":true,"Webhooks":"[\"App.QueueWebhook\",\"App.TestWebhook\",\"App.NewUserRegistered\"]",
  "Headers":"{\"X-Api-Key\":\"h-canary\",\"Content-Type\":\"text/plain\",\"X-Null\":null}"},
 {"Id":"7f9619ff-8b86-d011-b42d-00c04fc964ff","TenantId":1,"WebhookUri":"https://old.example.com/","Secret":"` + secretB + `","IsActive":false,"Webhooks":"[\"App.IvrWebhook\"]","Headers":null},
 {"Id":"8f9619ff-8b86-d011-b42d-00c04fc964ff","TenantId":1,"WebhookUri":"https://users.example.com/","Secret":"` + secretB + `","IsActive":true,"Webhooks":"[\"App.NewUserRegistered\"]","Headers":"{}"}
]`

const exportCSV = "Id,CreationTime,CreatorUserId,TenantId,WebhookUri,Secret,IsActive,Webhooks,Headers\r\n" +
	idA + `,2021-05-01 10:00:00,2,1,https://crm.example.com/hooks/calls?key=q-canary,` + secretA + `,1,"[""App.QueueWebhook"",""App.TestWebhook"",""App.NewUserRegistered""]","{""X-Api-Key"":""h-canary"",""Content-Type"":""text/plain""}"` + "\r\n" +
	idB + `,NULL,NULL,1,https://old.example.com/,` + secretB + `,0,"[""App.IvrWebhook""]",NULL` + "\r\n" +
	idC + `,NULL,NULL,1,https://users.example.com/,` + secretB + `,1,"[""App.NewUserRegistered""]",{}` + "\r\n"

// fake answers as the API does, and refuses the name that it is told to.
type fake struct {
	*httptest.Server
	made   []wanted
	refuse string
	token  string
}

func newFake(t *testing.T) *fake {
	f := &fake{token: "aft_secret"}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+f.token {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"unauthorized","detail":"No such token."}`))
			return
		}
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/subscriptions":
			_ = json.NewEncoder(w).Encode(map[string]any{"items": f.made})
		case "POST /api/v1/subscriptions":
			var in wanted
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				t.Error(err)
			}
			if f.refuse != "" && strings.Contains(in.Name, f.refuse) {
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = w.Write([]byte(`{"code":"invalid","errors":[{"pointer":"/endpoint","message":"There is no host of this name."}]}`))
				return
			}
			f.made = append(f.made, in)
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"id":"sub_1","signing_secret":"whsec_canary"}`))
		default:
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// command runs the command over an export and returns what it prints.
func command(t *testing.T, export string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "export")
	if err := os.WriteFile(file, []byte(export), 0o600); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("aft_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(args, "--execute") {
		args = append(args, "--token-file", token)
	}
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	cmd.SetArgs(append([]string{"aspnet-zero", file}, args...))
	err := cmd.ExecuteContext(t.Context())
	for _, canary := range []string{secretA, secretB, "canary", "aft_secret"} {
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s is printed:\n%s", canary, out.String())
		}
	}
	return out.String(), err
}

func TestWithoutExecuteItSaysWhatItWouldMake(t *testing.T) {
	for name, export := range map[string]string{"JSON": exportJSON, "CSV": exportCSV} {
		out, err := command(t, export)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range []string{
			"would make  crm.example.com/hooks/calls (" + idA + ")", "active, App.QueueWebhook, App.TestWebhook", "headers X-Api-Key",
			`left out: "App.NewUserRegistered"`, `left out: header "Content-Type"`,
			"would make  old.example.com (" + idB + ")", "switched off, App.IvrWebhook",
			"skipped     users.example.com (" + idC + "): it has no event type of Aftercall", "2 to make, 1 skipped, 0 refused", "Nothing was changed",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", name, want, out)
			}
		}
	}
}

func TestWebhooksAreMadeOnceWithTheirOldSecret(t *testing.T) {
	f := newFake(t)
	for round, want := range []string{"2 made, 1 skipped, 0 not made", "0 made, 3 skipped, 0 not made"} {
		out, err := command(t, exportJSON, "--execute", "--api", f.URL)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("round %d: %v\n%s", round, err, out)
		}
	}
	if len(f.made) != 2 {
		t.Fatalf("made %d", len(f.made))
	}
	a := f.made[0]
	if a.Format != subscription.FormatAbp || a.AbpSecret != secretA || a.Endpoint != "https://crm.example.com/hooks/calls?key=q-canary" || !a.Active ||
		!slices.Equal(a.Events, []string{"App.QueueWebhook", "App.TestWebhook"}) || !slices.Equal(a.Headers, []header{{"X-Api-Key", "h-canary", true}}) {
		t.Errorf("made %+v", a)
	}
	if f.made[1].Active {
		t.Error("one that was off is active")
	}
	// Renamed but for the id in brackets, it is still the same.
	f.made[0].Name = "CRM (" + idA + ")"
	if out, err := command(t, exportCSV, "--execute", "--api", f.URL+"/api/v1/"); err != nil || !strings.Contains(out, "0 made") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhatFailedIsMadeTheNextTime(t *testing.T) {
	f := newFake(t)
	f.refuse = "crm."
	out, err := command(t, exportJSON, "--execute", "--api", f.URL, "--inactive")
	if err == nil || !strings.Contains(out, "endpoint: There is no host of this name") || !strings.Contains(out, "1 made, 1 skipped, 1 not made") {
		t.Fatalf("%v\n%s", err, out)
	}
	f.refuse = ""
	if out, err := command(t, exportJSON, "--execute", "--api", f.URL, "--inactive"); err != nil || !strings.Contains(out, "1 made, 2 skipped") {
		t.Fatalf("%v\n%s", err, out)
	}
	if f.made[1].Active {
		t.Error("made active")
	}
}

func TestAWrongTokenOrAddressIsSaid(t *testing.T) {
	f := newFake(t)
	f.token = "another"
	if _, err := command(t, exportJSON, "--execute", "--api", f.URL); err == nil || !strings.Contains(err.Error(), "No such token") {
		t.Error(err)
	}
	elsewhere := httptest.NewServer(http.RedirectHandler(f.URL, http.StatusFound))
	defer elsewhere.Close()
	if _, err := command(t, exportJSON, "--execute", "--api", elsewhere.URL); err == nil || !strings.Contains(err.Error(), "is --api right?") {
		t.Error(err)
	}
	for _, args := range [][]string{{"--execute"}, {"--execute", "--api", "aftercall.example"}, {"--execute", "--dry-run", "--api", f.URL}} {
		if _, err := command(t, exportJSON, args...); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}

func TestTenantsAreNotMixedUnasked(t *testing.T) {
	export := strings.Replace(exportJSON, `"TenantId":1`, `"TenantId":null`, 1)
	if _, err := command(t, export); err == nil || !strings.Contains(err.Error(), "host (1), 1 (2)") || !strings.Contains(err.Error(), "--tenant") {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tenant", "host"}, "1 to make, 0 skipped"},
		{[]string{"--tenant", "1"}, "1 to make, 1 skipped"},
		{[]string{"--tenant", "9"}, "0 to make, 0 skipped"},
		{[]string{"--all-tenants"}, "2 to make, 1 skipped"},
	} {
		if out, err := command(t, export, c.args...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
}

func TestARowThatCannotBeTakenOverIsRefused(t *testing.T) {
	for change, want := range map[[2]string]string{
		{secretA, "whs_short"}:                                   "its Secret cannot be used",
		{secretA, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}:      "its Secret cannot be used",
		{"https://crm.example.com", "ftp://crm.example.com"}:     "no URL of https or http",
		{"https://crm.example.com/hooks/calls?key=q-canary", ""}: "it has no WebhookUri",
		{`"[\"App.QueueWebhook\"`, `"(\"App.QueueWebhook\"`}:     "its Webhooks are no list of names",
		{`"{\"X-Api-Key\":\"h-canary\"`, `"{\"X-Api-Key\":[]`}:   "its Headers are no object",
		{"7f9619ff", "6f9619ff"}:                                 "its Id is in the file twice",
		{"6F9619FF-8B86-D011-B42D-00C04FC964FF", ""}:             "it has no Id",
	} {
		export := strings.Replace(exportJSON, change[0], change[1], 1)
		out, err := command(t, export)
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "1 refused") {
			t.Errorf("%v: %v\n%s", change, err, out)
		}
	}
}

func TestExportsOfManyTools(t *testing.T) {
	units := utf16.Encode([]rune(exportCSV))
	wide := []byte{0xFF, 0xFE}
	for _, u := range units {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, export := range map[string]string{
		"UTF-8 with a mark":  "\ufeff" + exportCSV,
		"UTF-16":             string(wide),
		"object around":      `{"AbpWebhookSubscriptions":` + exportJSON + `}`,
		"camel case, nested": strings.NewReplacer(`"WebhookUri"`, `"webhookUri"`, `"Webhooks":"[\"App.IvrWebhook\"]"`, `"webhooks":["App.IvrWebhook"]`).Replace(exportJSON),
	} {
		if out, err := command(t, export); err != nil || !strings.Contains(out, "2 to make") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	semicolons := "Id;WebhookUri;Secret;IsActive;Webhooks\n" + idA + ";https://a.example/;" + secretA + `;True;"[""App.AgentWebhook""]"` + "\n"
	if out, err := command(t, semicolons); err != nil || !strings.Contains(out, "active, App.AgentWebhook") {
		t.Errorf("%v\n%s", err, out)
	}
	for name, export := range map[string]string{
		"empty": "", "not JSON": `[{"Secret":"` + secretA + `"`, "another table": `[{"Id":1,"Name":"x"}]`, "object of two lists": `{"a":[],"b":[]}`,
		"broken CSV": "Id,WebhookUri,Secret,Webhooks\n" + idA + `,"` + secretA, "ragged CSV": "Id,WebhookUri,Secret,Webhooks\n" + secretA + "\n", "Latin-1": "Id,caf\xe9\n",
	} {
		if out, err := command(t, export); err == nil || strings.Contains(err.Error(), secretA) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestAnImportedNameFits(t *testing.T) {
	long := nameOf("https://"+strings.Repeat("a", 300)+".example/x", idA)
	if n := len([]rune(long)); n > subscription.MaxName || !strings.HasSuffix(long, "("+idA+")") {
		t.Errorf("%d: %s", n, long)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(exportJSON))
	f.Add([]byte(exportCSV))
	f.Add([]byte("\xff\xfeI\x00d\x00"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		rows, err := parse(data)
		if err != nil {
			return
		}
		if steps, err := plan(rows, options{allTenants: true}); err == nil {
			_ = preview(&bytes.Buffer{}, steps)
		}
	})
}
