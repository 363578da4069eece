package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// pagesOf are all pages that show something of a subscription and its history.
func pagesOf(id, deliveryID, attemptID string) []string {
	return []string{"/webhooks", "/webhooks/new", "/webhooks/" + id + "/edit", "/webhooks/" + id + "/delete", "/webhooks/" + id + "/attempts", "/attempts", "/attempts?result=failed",
		"/attempts/" + attemptID, "/deliveries/" + deliveryID, "/calls", "/calls?id=c-1", "/calls?id=none", "/rejected", "/event-types", "/event-types/App.QueueWebhook", "/tokens", "/audit", "/health", "/audit?actor=none",
		"/tests/0199a000-0000-7000-8000-000000000000", "/nothing", "/attempts/none", "/attempts?cursor=forged", "/attempts?from=x"}
}

// The reference's page, whole, by forms: what a browser without JavaScript does.
func TestTheReferencesPageByForms(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		br := b.signIn()
		form := br.get("/webhooks/new").want(t, http.StatusOK)
		for _, label := range []string{"Webhook Endpoint", "Is Active", "Webhook Events", "Additional Webhook Headers"} {
			if !strings.Contains(form.body, label) {
				t.Errorf("the form does not say %q", label)
			}
		}
		fields := url.Values{"id": {inputValue(t, form.body, "id")}, "endpoint": {"https://receiver.example/hook"}, "active": {"1"}, "events": {"App.QueueWebhook", "App.TestWebhook"},
			"header.0.name": {"X-Api-Key"}, "header.0.value": {"k-123"}, "header.0.secret": {"1"}, "schedule": {"72h"}, "do": {"save"}}

		// A mistake comes back with the form and its values, tied to its field.
		wrong := url.Values{}
		for k, v := range fields {
			wrong[k] = v
		}
		wrong.Set("endpoint", "https://private.example/hook")
		back := br.post("/webhooks/new", wrong).want(t, http.StatusUnprocessableEntity)
		if !strings.Contains(back.body, "10.2.3.4 is a private address") || inputValue(t, back.body, "endpoint") != "https://private.example/hook" || inputValue(t, back.body, "id") != fields.Get("id") {
			t.Errorf("the form comes back as %s", back.body)
		}
		if !regexp.MustCompile(`id="endpoint"[^>]*aria-invalid="true"[^>]*aria-describedby="[^"]*endpoint-error`).MatchString(back.body) {
			t.Error("the error is not tied to its field")
		}

		added := br.post("/webhooks/new", fields).want(t, http.StatusOK)
		shown := regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`).FindString(html.UnescapeString(added.body))
		id := fields.Get("id")
		m := b.last(id)
		if plain, err := b.deps.Keyset.Unseal(id, secret.FieldSecret, m.GetSealedSecret()); err != nil || string(plain) != shown || shown == "" {
			t.Fatalf("the page shows the secret %q, sealed is %q, %v", shown, plain, err)
		}
		// Reloading the answer posts again; it makes no second webhook.
		if again := br.post("/webhooks/new", fields).want(t, http.StatusOK); strings.Contains(again.body, "whsec_") || !strings.Contains(again.body, "added already") {
			t.Errorf("posting again answers %s", again.body)
		}
		list := br.get("/webhooks").want(t, http.StatusOK)
		for _, text := range []string{"https://receiver.example/hook", "Send Test Webhook", ">Active<", "Webhook Endpoint", "Webhook Events", "Next retry"} {
			if !strings.Contains(list.body, text) {
				t.Errorf("the list does not show %q", text)
			}
		}
		if strings.Count(list.body[:strings.Index(list.body, "</main>")], "<tr>") != 2 {
			t.Errorf("the list has not one row: %s", list.body)
		}

		// Send Test Webhook: queued, then delivered.
		test := br.post("/webhooks/test", nil).want(t, http.StatusOK)
		if log := br.get("/audit?action=test.sent").want(t, http.StatusOK); !strings.Contains(log.body, ">test.sent<") {
			t.Errorf("who tested is not in the audit log: %s", log.body)
		}
		if !strings.Contains(test.body, "not routed yet") || !strings.Contains(test.body, "receiver.example") {
			t.Errorf("the test's page is %s", test.body)
		}
		if records := kafkatest.ReadAll(t, b.kafka, topic.CDRTest); len(records) != 1 || header(records[0], "ce_type") != topic.TypeTest {
			t.Errorf("the test topic has %d records", len(records))
		}

		// See the failure, resend.
		_, deliveryID, attemptID := b.happened(id, "c-1", `{"CallId":"c-1","CallerName":"Megan Bowen","CallerNumber":"+14255550100"}`)
		attempts := br.get("/webhooks/"+id+"/attempts").want(t, http.StatusOK)
		for _, text := range []string{"View Webhook Send Attempts", "503", "failed", "Resend", "1 / 13", "c-1"} {
			if !strings.Contains(attempts.body, text) {
				t.Errorf("the attempts do not show %q", text)
			}
		}
		if none := br.get("/webhooks/"+id+"/attempts?status=404").want(t, http.StatusOK); !strings.Contains(none.body, "Clear filters") || !strings.Contains(none.body, "No attempt matches") {
			t.Error("a filter that nothing matches does not say so")
		}
		one := br.get("/attempts/"+attemptID).want(t, http.StatusOK)
		for _, text := range []string{"receiver.example answered 503 Service Unavailable after 84 ms", "Retry-After: 5", "X-Api-Key: [masked]", "busy &lt;b&gt;now&lt;/b&gt;", "aftercall.cdr.queue p0 @7", ">router 1000 ms<", ">sender sender-0 84 ms<", ">recorded 916 ms<", "Copy link"} {
			if !strings.Contains(one.body, text) {
				t.Errorf("the attempt does not show %q", text)
			}
		}
		if strings.Contains(one.body, "Megan") || !strings.Contains(one.body, "Reveal personal data") {
			t.Error("personal data is not masked")
		}
		resent := br.post("/attempts/"+attemptID+"/resend", nil).want(t, http.StatusOK)
		records := kafkatest.ReadAll(t, b.kafka, topic.Deliveries)
		if len(records) != 1 {
			t.Fatalf("there are %d deliveries", len(records))
		}
		d, err := record.OpenAs[*aftercallv1.Delivery](records[0])
		if err != nil || d.GetCause() != aftercallv1.Cause_CAUSE_RESEND || !strings.Contains(resent.body, d.GetDeliveryId()) || !strings.Contains(resent.body, "Resend was pressed. By admin.") {
			t.Errorf("the delivery is %v, %v", d, err)
		}
		call := br.get("/calls?id=c-1").want(t, http.StatusOK)
		for _, text := range []string{deliveryID, d.GetDeliveryId(), "waiting", attemptID} {
			if !strings.Contains(call.body, text) {
				t.Errorf("the call does not show %q", text)
			}
		}
		revealed := br.post("/events/"+d.GetEventId()+"/reveal", nil).want(t, http.StatusOK)
		if !strings.Contains(revealed.body, "Megan Bowen") {
			t.Error("revealing shows nothing")
		}

		// Edit: a kept secret stays, a stale form is refused.
		edit := br.get("/webhooks/"+id+"/edit").want(t, http.StatusOK)
		if strings.Contains(edit.body, "k-123") || !strings.Contains(edit.body, "[unchanged]") {
			t.Error("the edit form does not mask the header")
		}
		change := url.Values{"version": {inputValue(t, edit.body, "version")}, "endpoint": {"https://receiver.example/hook2"}, "events": {"App.QueueWebhook"}, "header.0.name": {"X-Api-Key"}, "header.0.value": {""},
			"header.0.secret": {"1"}, "header.0.kept": {"X-Api-Key"}, "schedule": {"1h"}, "do": {"save"}}
		if saved := br.post("/webhooks/"+id+"/edit", change).want(t, http.StatusOK); !strings.Contains(saved.body, "Saved.") {
			t.Errorf("saving answers %s", saved.body)
		}
		m = b.last(id)
		if plain, err := b.deps.Keyset.Unseal(id, secret.HeaderField("X-Api-Key"), m.GetHeaders()[0].GetSealed()); err != nil || string(plain) != "k-123" || m.GetActive() || m.GetSchedule() != "1h" {
			t.Errorf("the edited subscription is %v (%q, %v)", m, plain, err)
		}
		br.post("/webhooks/"+id+"/edit", change).want(t, http.StatusPreconditionFailed)

		gone := br.get("/webhooks/"+id+"/delete").want(t, http.StatusOK)
		br.post("/webhooks/"+id+"/delete", url.Values{"version": {inputValue(t, gone.body, "version")}}).want(t, http.StatusOK)
		if !b.last(id).GetDeleted() {
			t.Error("the deletion is not published")
		}
		if empty := br.get("/webhooks"); !strings.Contains(empty.body, "No webhook yet") {
			t.Error("the empty list does not say what comes next")
		}
	})
}

func TestATestThatNobodyWouldGetOffersWhatToDo(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	page := br.post("/webhooks/test", nil).want(t, http.StatusOK)
	if !strings.Contains(page.body, "No active webhook has App.TestWebhook") || !strings.Contains(page.body, "Add it to CRM") {
		t.Errorf("the page is %s", page.body)
	}
	page = br.post("/webhooks/"+id+"/add-test", nil).want(t, http.StatusOK)
	if m := b.last(id); len(m.GetEvents()) != 2 || !strings.Contains(page.body, "not routed yet") {
		t.Errorf("the subscription has %v, the page is %s", m.GetEvents(), page.body)
	}
}

// Names, URLs, records and answers are others' words.
func TestHostileTextsStayText(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'{{.}}`
	body := `{"name":` + quote(evil) + `,"description":` + quote(evil) + `,"ou_scope":` + quote(evil) + `,"endpoint":"https://receiver.example/?q=%3Cscript%3E\"><script>alert(1)</script>","events":["App.QueueWebhook"],"headers":[{"name":"X-A","value":` + quote(evil) + `,"secret":false}]}`
	a := b.api("POST", "/subscriptions", body)
	if a.status != http.StatusCreated {
		// The URL rules may refuse the endpoint; the name is what matters.
		body = strings.Replace(body, `\"><script>alert(1)</script>`, "", 1)
		a = b.api("POST", "/subscriptions", body).want(t, http.StatusCreated)
	}
	var s struct{ ID string }
	a.into(t, &s)
	_, deliveryID, attemptID := b.happened(s.ID, "c-1", `{"CallId":"c-1","QueueName":`+quote(evil)+`,`+quote(evil)+`:1}`)
	b.happened(s.ID, evil, `{"CallId":`+quote(evil)+`}`)
	pages := append(pagesOf(s.ID, deliveryID, attemptID), "/calls?id="+url.QueryEscape(evil), "/attempts?call="+url.QueryEscape(evil)+"&status="+url.QueryEscape(evil)+"&from="+url.QueryEscape(evil),
		"/event-types/"+url.PathEscape(evil), "/tests/"+url.PathEscape(evil), "/webhooks?done="+url.QueryEscape(evil))
	for _, path := range pages {
		page := br.get(path)
		checkPage(t, path, page)
	}
	for _, form := range []url.Values{{"endpoint": {evil}, "name": {evil}, "events": {evil}, "ou_scope": {evil}, "timeout": {evil}, "max_concurrency": {evil}, "description": {"</textarea>" + evil}, "header.0.name": {evil}, "header.0.value": {evil}, "id": {evil}, "version": {evil}}} {
		checkPage(t, "the form", br.post("/webhooks/new", form))
		form.Set("do", "check")
		checkPage(t, "the checked form", br.post("/webhooks/new", form))
	}
}

// checkPage parses a page and fails on anything that only an injection, or an
// inline script or style, could have put there.
func checkPage(t *testing.T, path string, page answer) {
	t.Helper()
	if policy := page.header.Get("Content-Security-Policy"); policy != "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" {
		t.Errorf("%s has the policy %q", path, policy)
	}
	if page.header.Get("Cache-Control") != "no-store" || page.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s lacks its headers: %v", path, page.header)
	}
	doc, err := html.Parse(strings.NewReader(page.body))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"), a.Key == "style":
					t.Errorf("%s has an inline %s", path, a.Key)
				case (a.Key == "href" || a.Key == "src" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#"):
					t.Errorf("%s leads away: %s=%q", path, a.Key, a.Val)
				case a.Key == "id":
					if ids[a.Val] {
						t.Errorf("%s has the id %q twice", path, a.Val)
					}
					ids[a.Val] = true
				}
			}
			switch n.Data {
			case "script":
				if n.FirstChild != nil || len(n.Attr) == 0 {
					t.Errorf("%s has an inline script", path)
				}
			case "style", "img", "iframe", "object", "base":
				t.Errorf("%s has a <%s>", path, n.Data)
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
}

func quote(s string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	return `"` + r.Replace(s) + `"`
}

func inputValue(t testing.TB, page, name string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var value string
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "input" {
			attr := map[string]string{}
			for _, a := range n.Attr {
				attr[a.Key] = a.Val
			}
			if attr["name"] == name {
				value = attr["value"]
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	return value
}

func TestEveryPageNeedsASession(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	stranger := &browser{b, &http.Client{}}
	for _, path := range pagesOf("x", "x", "x") {
		if a := stranger.get(path); a.status != http.StatusUnauthorized || strings.Contains(a.body, "<table") {
			t.Errorf("%s answers a stranger with %d", path, a.status)
		} else {
			checkPage(t, path, a)
		}
	}
	for _, path := range []string{"/webhooks/new", "/webhooks/test", "/webhooks/x/delete", "/attempts/x/resend", "/events/x/reveal"} {
		if a := stranger.post(path, url.Values{"do": {"save"}}); a.status != http.StatusUnauthorized {
			t.Errorf("%s answers a stranger's post with %d", path, a.status)
		}
	}
}

func TestALoginLinkOpensOnceAndASessionEnds(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	stranger := &browser{b, &http.Client{}}
	var link struct{ Path string }
	b.api("POST", "/login-links", "").want(t, http.StatusCreated).into(t, &link)
	if a := stranger.get(link.Path); a.header.Get("Location") != "" && a.status >= 400 {
		t.Errorf("the link answers %d", a.status)
	}
	stranger.get(link.Path).want(t, http.StatusUnauthorized)
	stranger.get("/login?t=made-up").want(t, http.StatusUnauthorized)
	br.post("/logout", nil).want(t, http.StatusOK)
	br.get("/webhooks").want(t, http.StatusUnauthorized)
}

func TestWhatAnotherSitePostsIsRefused(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	for key, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		req, _ := http.NewRequest(http.MethodPost, b.server.URL+"/webhooks/test", strings.NewReader(""))
		req.Header.Set(key, value)
		if a := b.do(br.client, req); a.status != http.StatusForbidden {
			t.Errorf("a post with %s: %s answers %d", key, value, a.status)
		}
	}
	if n := len(kafkatest.ReadAll(t, b.kafka, topic.CDRTest)); n != 0 {
		t.Errorf("%d tests were sent", n)
	}
}

// The script gets the one region that it asks for, and the region is in the page
// under the same id.
func TestLiveRegionsAreServedAlone(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	_, deliveryID, _ := b.happened(id, "c-1", `{"CallId":"c-1"}`)
	for path, region := range map[string]string{"/webhooks": "webhooks", "/attempts": "attempts", "/deliveries/" + deliveryID: "delivery", "/calls?id=c-1": "call-detail", "/tests/0199a000-0000-7000-8000-000000000000": "test", "/rejected": "rejected"} {
		if whole := br.get(path); !strings.Contains(whole.body, `id="`+region+`"`) || !strings.Contains(whole.body, "data-live") {
			t.Errorf("%s has no live region %s", path, region)
		}
		req, _ := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
		req.Header.Set("Aftercall-Fragment", region)
		if part := b.do(br.client, req); !strings.HasPrefix(strings.TrimSpace(part.body), `<section id="`+region+`"`) {
			t.Errorf("%s answers the fragment %.80s", path, part.body)
		}
	}
}
