package overapi

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// api answers each path with its text; a status may come before it.
func api(t *testing.T, answers map[string]string) *[]string {
	t.Helper()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		text, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"code":"not_found","detail":"There is no such thing."}`
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(srv.Close)
	t.Setenv("AFTERCALL_API", srv.URL)
	t.Setenv("AFTERCALL_TOKEN", "aft_canary")
	return &asked
}

func run(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestAttemptsPassTheFiltersOn(t *testing.T) {
	asked := api(t, map[string]string{"GET /api/v1/attempts": `{"items":[{"attempt_id":"a1","new_field":1},{"attempt_id":"a2"}],"next_cursor":""}`})
	out, err := run(t, AttemptsCommand(), "--result", "failed", "--from", "-2h", "--event-type", "App.QueueWebhook")
	if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "new_field") {
		t.Errorf("%q %v", out, err)
	}
	for _, want := range []string{"result=failed", "event_type=App.QueueWebhook", "from=", "limit=50"} {
		if !strings.Contains((*asked)[0], want) {
			t.Errorf("asked %s without %s", (*asked)[0], want)
		}
	}
	if _, err := run(t, AttemptsCommand(), "--from", "yesterday"); err == nil {
		t.Error("yesterday is a time")
	}
}

func TestLoginPrintsTheWholeLink(t *testing.T) {
	api(t, map[string]string{"POST /api/v1/login-links": `{"path":"/login?t=abc","expires_at":"2026-03-14T09:26:53.589Z"}`})
	out, err := run(t, LoginCommand())
	if err != nil || !strings.Contains(out, `"url":"http://127.0.0.1:`) || !strings.Contains(out, "/login?t=abc") {
		t.Errorf("%q %v", out, err)
	}
}

func TestResendTriesEveryIDAndFailsWhenOneDoes(t *testing.T) {
	asked := api(t, map[string]string{"POST /api/v1/deliveries/dlv_1/resend": `{"delivery_id":"dlv_9"}`, "POST /api/v1/attempts/att_2/resend": `{"delivery_id":"dlv_8"}`})
	out, err := run(t, ResendCommand(), "dlv_gone", "dlv_1", "att_2")
	if err == nil || !strings.Contains(err.Error(), "dlv_gone") || !strings.Contains(out, "dlv_9") || !strings.Contains(out, "dlv_8") || len(*asked) != 3 {
		t.Errorf("%q %v %v", out, err, *asked)
	}
}

func TestTheTestFailsUnlessAllAreDelivered(t *testing.T) {
	for attempts, want := range map[string]string{
		`{"subscription_id":"s1","result":"delivered"},{"subscription_id":"s2","result":"delivered"}`: "",
		`{"subscription_id":"s1","result":"delivered"},{"subscription_id":"s2","result":"failed"}`:    "1 of the tests failed",
		`{"subscription_id":"s1","result":"delivered"}`:                                               "no attempt yet for s2",
	} {
		api(t, map[string]string{
			"POST /api/v1/test-webhook": `{"event_id":"evt_1","subscription_ids":["s1","s2"]}`,
			"GET /api/v1/attempts":      `{"items":[` + attempts + `],"next_cursor":""}`,
		})
		wait := time.Minute
		if strings.HasPrefix(want, "no attempt") {
			wait = 2 * time.Second
		}
		_, err := run(t, TestCommand(), "--wait", wait.String())
		switch {
		case err == nil && want != "":
			t.Errorf("%s: no error", attempts)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", attempts, err)
		}
	}
	api(t, map[string]string{"POST /api/v1/test-webhook": `{"event_id":"evt_1","subscription_ids":null}`})
	if _, err := run(t, TestCommand()); err == nil {
		t.Error("a test that nobody gets succeeds")
	}
}

func TestExplainNamesEverySubscriptionAndWhyNot(t *testing.T) {
	at := time.Now()
	later := at.Add(time.Hour)
	all := call{
		Events: []callEvent{{
			ID: "evt_1", Type: "App.QueueWebhook", CallID: "c1\x1b[2J", OUPath: "Root/Sales", OccurredAt: at, Position: position{"aftercall.cdr.queue", 3, 42},
			Decisions: []decision{{SubID: "s1", Name: "CRM", Outcome: "matched", DeliveryID: "dlv_1"}, {SubID: "s2", Name: "BI", Outcome: "filter_false"}},
		}},
		Deliveries: []delivery{{ID: "dlv_1", EventID: "evt_1", SubID: "s1", Name: "CRM", State: "waiting", Attempt: 1, Allowed: 8, Next: &at, Deferrals: 2, LastAt: &at, UpdatedAt: at}, {ID: "dlv_2", EventID: "evt_1", SubID: "s5", Name: "New", State: "waiting", Next: &later, Deferrals: 1, UpdatedAt: at}},
		Attempts:   []attempt{{ID: "att_1", DeliveryID: "dlv_1", Attempt: 1, Result: "failed", Status: 503}},
	}
	hooks := []hook{{ID: "s1", Name: "CRM"}, {ID: "s2", Name: "BI"}, {ID: "s3", Name: "IVR only", Events: []string{"App.IvrWebhook"}}, {ID: "s4", Name: "Support", Events: []string{"App.QueueWebhook"}, Scope: "Root/Support"}}
	var out bytes.Buffer
	if err := all.explain(&out, hooks); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"aftercall.cdr.queue/3@42", "evt_1", "CRM: waiting after 1 of 8 attempts, due since ", "New: waiting with no attempt on record, next try ", ", put off 2 times before that try (dlv_1", ", put off since " + at.Local().Format(time.DateTime) + " (the history names the first", "503", "att_1", "BI: not sent: its filter says no", "IVR only: not sent: it does not have", "Support: not sent: \"Root/Sales\" is not within"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("control characters reach the terminal")
	}
	api(t, map[string]string{"GET /api/v1/calls/c0": `{"events":null,"deliveries":null,"attempts":null,"truncated":false}`})
	if _, err := run(t, ExplainCommand(), "c0"); err == nil {
		t.Error("an unknown call is no error")
	}
}
