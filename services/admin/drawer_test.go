package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// What opens beside a page is the page of the test without its frame, from the
// same form and by the same templates.
func TestTheDrawerOfATestIsItsPageWithoutTheFrame(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	id, _ := b.subscribe(`{"endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	beside := func(path string) answer {
		t.Helper()
		req, _ := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(""))
		req.Header.Set("Aftercall-Fragment", "drawer")
		return b.do(br.client, req).want(t, http.StatusOK)
	}

	// Nobody would get it: it says so, and offers to add the event.
	none := beside("/webhooks/test")
	for _, text := range []string{"No active webhook has App.TestWebhook", `action="/webhooks/` + id + `/add-test" data-drawer`, "Send another"} {
		if !strings.Contains(none.body, text) {
			t.Errorf("beside the page it does not say %q: %s", text, none.body)
		}
	}
	added := beside("/webhooks/" + id + "/add-test")
	for _, text := range []string{"queued", "not routed yet", "receiver.example", "data-soon", `data-page="/tests/`, "to=" + id} {
		if !strings.Contains(added.body, text) {
			t.Errorf("once the event is added it does not say %q: %s", text, added.body)
		}
	}
	for _, frame := range []string{"<html", "<main", `class="crumbs"`} {
		if strings.Contains(added.body, frame) {
			t.Errorf("it has %s of the page's frame", frame)
		}
	}
	if whole := br.post("/webhooks/"+id+"/test", nil).want(t, http.StatusOK); !strings.Contains(whole.body, "<main") || !strings.Contains(whole.body, "not routed yet") {
		t.Errorf("without the script it is no page: %s", whole.body)
	}
}
