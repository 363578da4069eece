package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestTheListOfWebhooksComesInPagesAndIsFiltered(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	for i := range 103 {
		b.subscribe(fmt.Sprintf(`{"name":"Hook %03d","endpoint":"https://receiver.example/%d","active":%v,"events":["App.QueueWebhook"]}`, i, i, i != 7))
	}
	page := br.get("/webhooks").want(t, http.StatusOK)
	checkPage(t, "/webhooks", page)
	if n := strings.Count(page.body, "class=\"spark\""); n != 100 || !strings.Contains(page.body, "103 webhooks") || !strings.Contains(page.body, `href="/webhooks?from=100"`) || strings.Contains(page.body, "Hook 101") {
		t.Errorf("the first page has %d rows: %s", n, page.body)
	}
	page = br.get("/webhooks?from=100").want(t, http.StatusOK)
	if n := strings.Count(page.body, "class=\"spark\""); n != 3 || !strings.Contains(page.body, "Hook 102") || !strings.Contains(page.body, ">Previous<") {
		t.Errorf("the second page has %d rows", n)
	}
	for query, want := range map[string]string{"q=hook+01": "10 webhooks", "state=off": "1 webhook<", "state=active": "102 webhooks", "event=App.QueueWebhook&q=receiver.example%2F9": "11 webhooks", "event=App.TestWebhook": "No webhook matches"} {
		if page := br.get("/webhooks?"+query).want(t, http.StatusOK); !strings.Contains(page.body, want) {
			t.Errorf("%s does not say %q", query, want)
		}
	}
}
