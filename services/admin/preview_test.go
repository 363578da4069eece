package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// The script asks for the preview alone while somebody types; without it the form
// comes back whole, with the preview of what was typed.
func TestThePreviewIsOfWhatIsTypedAndSavesNothing(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	typed := url.Values{"do": {"show"}, "endpoint": {"https://typed.example/hook?a=b"}, "events": {"App.AgentWebhook"},
		"header.0.name": {"X-Api-Key"}, "header.0.value": {"canary"}, "header.0.secret": {"1"}, "header.1.name": {"X-Team"}, "header.1.value": {"sales"}}
	req, _ := http.NewRequest(http.MethodPost, b.server.URL+"/webhooks/new", strings.NewReader(typed.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Aftercall-Fragment", "request")
	alone := b.do(br.client, req).want(t, http.StatusOK)
	whole := br.post("/webhooks/new", typed).want(t, http.StatusOK)
	for name, page := range map[string]string{"the region": alone.body, "the page": whole.body} {
		text := html.UnescapeString(page)
		for _, want := range []string{"POST /hook?a=b HTTP/1.1", "host: typed.example", "App.AgentWebhook", "X-Team: sales", "X-Api-Key: [masked]", "curl -i -X POST 'https://typed.example/hook?a=b'"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not show %q: %s", name, want, text)
			}
		}
		if strings.Contains(text, "canary") {
			t.Errorf("%s shows a secret", name)
		}
	}
	if strings.Contains(alone.body, "<form") || !strings.Contains(whole.body, "<form") {
		t.Errorf("the region is answered as %s", alone.body)
	}
	if list := br.get("/webhooks").want(t, http.StatusOK); strings.Contains(list.body, "typed.example") {
		t.Error("a preview is a webhook")
	}
}
