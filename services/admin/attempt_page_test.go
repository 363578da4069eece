package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/webhook"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

const (
	firstSecret  = "whsec_Zmlyc3Qtc2VjcmV0LWZpcnN0LXNlY3JldC1maXJzdA=="
	secondSecret = "whsec_c2Vjb25kLXNlY3JldC1zZWNvbmQtc2VjcmV0LXNlY29uZA=="
	thirdSecret  = "whsec_dGhpcmQtc2VjcmV0LXRoaXJkLXNlY3JldC10aGlyZC10aGlyZA=="
	signedRecord = `{"CallId":"c-9", "QueueName":"Sales",  "CallerNumber":"+14255550100"}`
)

// signedAttempt is one attempt to be projected, signed as a sender would.
type signedAttempt struct {
	number  int32
	format  string
	secrets []string
	abp     string
	change  func(*aftercallv1.Attempt)
}

// sign projects the attempts of one delivery of signedRecord and answers the ids.
func (b *bundle) sign(subscriptionID string, attempts ...signedAttempt) (eventID string, ids []string) {
	b.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	eventID = cdr.EventID("default", "", "App.QueueWebhook", "", "c-9", []byte(signedRecord))
	deliveryID := cdr.DeliveryID(eventID, subscriptionID, "call_ended", "")
	batch := &store.Batch{Events: []*aftercallv1.Event{{
		EventId: eventID, Tenant: "default", EventType: "App.QueueWebhook", CallId: "c-9", OccurredAt: timestamppb.New(now.Add(-time.Hour)), Position: &aftercallv1.Position{Topic: "aftercall.cdr.queue", Offset: 9},
		Payload: []byte(signedRecord), RoutedAt: timestamppb.New(now.Add(-time.Hour)), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
	}}}
	for _, a := range attempts {
		started := now.Add(-time.Hour + time.Duration(a.number)*time.Minute)
		body, contentType, err := webhook.Body(a.format, webhook.Content{ID: eventID, Type: "App.QueueWebhook", CallID: "c-9", OccurredAt: now.Add(-time.Hour), Attempt: int(a.number), Payload: []byte(signedRecord)})
		if err != nil {
			b.t.Fatal(err)
		}
		m := webhook.Message{ID: eventID, EventType: "App.QueueWebhook", DeliveryID: deliveryID, Attempt: int(a.number), Cause: "call_ended", Version: "test", ContentType: contentType, Time: started, AbpSecret: a.abp, Body: body}
		for _, s := range a.secrets {
			raw, err := webhook.ParseSecret(s)
			if err != nil {
				b.t.Fatal(err)
			}
			m.Secrets = append(m.Secrets, raw)
		}
		id := fmt.Sprintf("0199b000-0000-7000-800%d-%s", a.number, deliveryID[4:16])
		ids = append(ids, id)
		one := &aftercallv1.Attempt{
			AttemptId: id, DeliveryId: deliveryID, EventId: eventID, SubscriptionId: subscriptionID, SubscriptionVersion: 1, Tenant: "default", EventType: "App.QueueWebhook", CallId: "c-9",
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: a.number, AttemptsAllowed: 13, StartedAt: timestamppb.New(started),
			Timings: &aftercallv1.Timings{Connect: durationpb.New(2 * time.Millisecond), FirstByte: durationpb.New(80 * time.Millisecond), Total: durationpb.New(84 * time.Millisecond)},
			Result:  aftercallv1.Attempt_RESULT_FAILED, ErrorClass: aftercallv1.Attempt_ERROR_CLASS_STATUS, HttpStatus: 503, Error: "The endpoint answered 503 Service Unavailable.",
			RequestUrl: "https://receiver.example/hook?a='b'", RequestBytes: int32(len(body)), WebhookId: eventID,
			State: aftercallv1.DeliveryState_DELIVERY_STATE_WAITING, NextAttemptAt: timestamppb.New(now.Add(time.Hour)), Sender: "sender-0",
			OccurredAt: timestamppb.New(now.Add(-time.Hour)), FirstQueuedAt: timestamppb.New(now.Add(-time.Hour)),
		}
		for _, h := range m.Headers(nil) {
			one.RequestHeaders = append(one.RequestHeaders, &aftercallv1.HttpHeader{Name: h.Name, Value: h.Value})
		}
		if a.change != nil {
			a.change(one)
		}
		batch.Attempts = append(batch.Attempts, &store.AttemptAt{Attempt: one, Record: &aftercallv1.Position{Topic: "aftercall.history", Offset: int64(a.number)}, StoredAt: now})
	}
	if _, err := b.db.Project(context.Background(), batch); err != nil {
		b.t.Fatal(err)
	}
	return eventID, ids
}

// byID is the text of the element of an id, "" when there is none.
func byID(t testing.TB, page, id string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var found string
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		for _, a := range n.Attr {
			if a.Key == "id" && a.Val == id {
				found = textOf(n)
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	return found
}

func (b *bundle) rotate(id, to string) {
	b.t.Helper()
	b.api("POST", "/subscriptions/"+id+"/rotate-secret", `{"signing_secret":"`+to+`"}`, "If-Match", b.api("GET", "/subscriptions/"+id, "").header.Get("ETag")).want(b.t, http.StatusOK)
}

func TestAnAttemptsPageSaysWhetherItsSignatureVerifiesStill(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		br := b.signIn()
		id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"signing_secret":"` + firstSecret + `"}`)
		eventID, ids := b.sign(id, signedAttempt{number: 1, secrets: []string{firstSecret}}, signedAttempt{number: 2, format: "standard", secrets: []string{firstSecret}},
			signedAttempt{number: 3}, signedAttempt{number: 4, secrets: []string{firstSecret}, change: func(a *aftercallv1.Attempt) { a.RequestBytes++ }},
			signedAttempt{number: 5, secrets: []string{secondSecret, firstSecret}})
		says := func(when, attempt, want string) {
			t.Helper()
			page := br.get("/attempts/"+attempt).want(t, http.StatusOK)
			checkPage(t, when, page)
			if got := byID(t, page.body, "signature"); !strings.Contains(got, want) {
				t.Errorf("%s the page says %q, want %q", when, got, want)
			}
			for _, s := range []string{firstSecret, secondSecret, thirdSecret} {
				if strings.Contains(page.body, strings.TrimPrefix(s, "whsec_")) {
					t.Fatalf("%s the page shows a secret", when)
				}
			}
		}
		says("at first", ids[0], "Under the webhook's present secret.")
		says("in a format of its own", ids[1], "Under the webhook's present secret.")
		says("with a body that is not what is stored", ids[3], "cannot be checked")
		if page := br.get("/attempts/" + ids[2]); byID(t, page.body, "signature") != "" {
			t.Error("a request that was not signed has a signature")
		}
		page := br.get("/attempts/" + ids[0])
		for _, want := range []string{eventID + ".", "webhook-signature", "id.timestamp.body", "Verify: Go", "Verify: Python", "Verify: JavaScript", "Verify: curl and openssl"} {
			if !strings.Contains(byID(t, page.body, "signature"), want) {
				t.Errorf("the section does not say %q", want)
			}
		}

		b.rotate(id, secondSecret)
		says("during a rotation", ids[0], "verifies under the previous secret")
		says("signed with both", ids[4], "Under the present secret, and under the previous one")
		b.rotate(id, thirdSecret)
		says("after another rotation", ids[0], "Neither under the webhook's present secret nor under the previous one")
		b.api("DELETE", "/subscriptions/"+id, "", "If-Match", b.api("GET", "/subscriptions/"+id, "").header.Get("ETag")).want(t, http.StatusNoContent)
		says("once the webhook is gone", ids[0], "The webhook is deleted")
	})
}

func TestTheShellSnippetVerifiesTheRequestAsSent(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "base64", "od"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: %v", tool, err)
		}
	}
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"signing_secret":"` + firstSecret + `"}`)
	_, ids := b.sign(id, signedAttempt{number: 1, secrets: []string{firstSecret}})
	script := byID(t, b.signIn().get("/attempts/"+ids[0]).body, "snippet-shell")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "body.json"), []byte(signedRecord), 0o600); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]string{firstSecret: "verifies\n", secondSecret: "does not verify\n"} {
		run := exec.Command("sh", "-eu", "-c", script)
		run.Dir, run.Env = dir, append(os.Environ(), "WEBHOOK_SECRET="+secret)
		if out, err := run.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("the snippet says %q, %v, want %q", out, err, want)
		}
	}
}

func TestASignatureOfARecordThatIsNotKeptCannotBeChecked(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"],"format":"abp","abp_secret":"whs_0123456789abcdef","signing_secret":"` + firstSecret + `"}`)
	_, ids := b.sign(id, signedAttempt{number: 1, format: "abp", secrets: []string{firstSecret}, abp: "whs_0123456789abcdef"})
	br := b.signIn()
	if got := byID(t, br.get("/attempts/"+ids[0]).body, "signature"); !strings.Contains(got, "It verifies under the present ASP.NET Zero secret") || !strings.Contains(got, "Under the webhook's present secret.") {
		t.Errorf("before, the page says %q", got)
	}
	if err := b.db.ExpirePayloads(context.Background(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := byID(t, br.get("/attempts/"+ids[0]).want(t, http.StatusOK).body, "signature"); !strings.Contains(got, "cannot be checked") || !strings.Contains(got, "Its body is not kept any more.") {
		t.Errorf("after, the page says %q", got)
	}
}

func TestTwoAttemptsOfADeliveryAreComparedByWordAndColour(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	answers := func(status int32, body string, total time.Duration, headers ...*aftercallv1.HttpHeader) func(*aftercallv1.Attempt) {
		return func(a *aftercallv1.Attempt) {
			a.HttpStatus, a.ResponseBody, a.ResponseHeaders, a.Timings.Total = status, []byte(body), headers, durationpb.New(total)
		}
	}
	_, ids := b.sign(id,
		signedAttempt{number: 1, change: answers(500, "first\nshared\nlast <script>alert(1)</script>", 900*time.Millisecond, &aftercallv1.HttpHeader{Name: "server", Value: "nginx"}, &aftercallv1.HttpHeader{Name: "x-old", Value: "1"})},
		signedAttempt{number: 2, change: answers(503, "first\nshared\nnew\nlast <img src=x>", 100*time.Millisecond, &aftercallv1.HttpHeader{Name: "server", Value: "nginx"}, &aftercallv1.HttpHeader{Name: "retry-after", Value: "<b>5</b>"})},
		signedAttempt{number: 3, change: answers(503, "first\nshared\nnew\nlast <img src=x>", 100*time.Millisecond)})

	page := br.get("/attempts/"+ids[1]).want(t, http.StatusOK)
	checkPage(t, "the comparison", page)
	rows := comparison(t, page.body)
	for name, want := range map[string]string{
		"Result": "failed|failed|same", "HTTP status": "503 Service Unavailable|500 Internal Server Error|different", "In all": "100 ms|900 ms|faster", "server:": "nginx|nginx|same",
		"retry-after:": "<b>5</b>|–|this one only", "x-old:": "–|1|the other only", "Body of the response": "this page|attempt 1 / 13|different",
	} {
		if rows[name] != want {
			t.Errorf("%s is %q, want %q", name, rows[name], want)
		}
	}
	for _, line := range []string{`<span class="what"></span><span class="mono">shared</span>`, `<li class="info"><span class="what">this one only</span><span class="mono">new</span>`,
		`<li class="bad"><span class="what">the other only</span><span class="mono">last &lt;script&gt;`} {
		if !strings.Contains(page.body, line) {
			t.Errorf("the bodies lack %s", line)
		}
	}

	// The URL chooses another one; the first is compared with the next.
	chosen := br.get("/attempts/"+ids[1]+"?with="+ids[2]).want(t, http.StatusOK)
	if rows := comparison(t, chosen.body); rows["HTTP status"] != "503 Service Unavailable|503 Service Unavailable|same" || rows["Body of the response"] != "this page|attempt 3 / 13|same" {
		t.Errorf("with another one the rows are %q", rows)
	}
	if first := comparison(t, br.get("/attempts/"+ids[0]).body); first["In all"] != "900 ms|100 ms|slower" {
		t.Errorf("the first one is compared as %q", first)
	}
	// One of another delivery, or itself, is not compared.
	_, _, stranger := b.happened(id, "c-1", `{"CallId":"c-1"}`)
	br.get("/attempts/"+ids[1]+"?with="+stranger).want(t, http.StatusNotFound)
	br.get("/attempts/"+ids[1]+"?with="+ids[1]).want(t, http.StatusNotFound)
	if alone := br.get("/attempts/"+stranger).want(t, http.StatusOK); byID(t, alone.body, "compare") != "" {
		t.Error("an only attempt is compared")
	}
}

// An answer of many lines, none like another, is compared in bounds.
func TestComparingLongAnswersIsBounded(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	long := func(line string) func(*aftercallv1.Attempt) {
		return func(a *aftercallv1.Attempt) { a.ResponseBody = []byte(strings.Repeat(line, 16<<10/len(line))) }
	}
	_, ids := b.sign(id, signedAttempt{number: 1, change: long("a\n")}, signedAttempt{number: 2, change: long("b\n")})
	page := b.signIn().get("/attempts/"+ids[1]).want(t, http.StatusOK)
	if n := strings.Count(page.body, `<span class="what">`); n != 400 || !strings.Contains(page.body, "lines more are not shown") {
		t.Errorf("%d lines are shown", n)
	}
}

// comparison are the rows of the comparison: "this|the other|difference" by name.
func comparison(t testing.TB, page string) map[string]string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	var walk func(n *html.Node, in bool)
	walk = func(n *html.Node, in bool) {
		for _, a := range n.Attr {
			in = in || a.Key == "id" && a.Val == "compare"
		}
		if in && n.Data == "tr" {
			var cells []string
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				if c.Data == "td" {
					cells = append(cells, strings.TrimSpace(textOf(c)))
				}
			}
			if len(cells) == 4 {
				rows[cells[0]] = strings.Join(cells[1:], "|")
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, in)
		}
	}
	walk(doc, false)
	return rows
}

func textOf(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		b.WriteString(textOf(c))
	}
	return b.String()
}

func TestTheRawAttemptIsWhatTheAPIGives(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	_, _, attemptID := b.happened(id, "c-1", `{"CallId":"c-1","CallerName":"Megan Bowen"}`)
	page := b.signIn().get("/attempts/"+attemptID).want(t, http.StatusOK)
	checkPage(t, "the page", page)
	shown := byID(t, page.body, "raw-json")
	var fromPage, fromAPI any
	if err := json.Unmarshal([]byte(shown), &fromPage); err != nil {
		t.Fatalf("the page's JSON is %s: %v", shown, err)
	}
	b.api("GET", "/attempts/"+attemptID, "").want(t, http.StatusOK).into(t, &fromAPI)
	if m, ok := fromAPI.(map[string]any); ok {
		delete(m, "$schema")
	}
	if !reflect.DeepEqual(fromPage, fromAPI) {
		t.Errorf("the page has %s, the API %v", shown, fromAPI)
	}
	if !strings.Contains(shown, "\n  \"attempt_id\": ") || !strings.Contains(shown, "busy <b>now</b>") || strings.Contains(page.body, "<b>now</b>") || strings.Contains(shown, "Megan") {
		t.Errorf("the raw attempt is %s", shown)
	}
	if !strings.Contains(page.body, `href="/api/v1/attempts/`+attemptID+`"`) || !strings.Contains(page.body, `data-copy="raw-json"`) {
		t.Error("the page leads to no API, or does not copy")
	}
}
