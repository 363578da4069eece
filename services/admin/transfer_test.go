package admin_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"golang.org/x/net/html"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// The first page, with all it makes a browser fetch, comes over a slow line in a
// moment: no framework, no font, no picture.
func TestTheFirstPageIsLight(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	for i := range 20 {
		id, _ := b.subscribe(fmt.Sprintf(`{"name":"Webhook %d","endpoint":"https://receiver.example/hook/%d","active":true,"events":["App.QueueWebhook","App.AgentWebhook","App.TestWebhook"]}`, i, i))
		b.happened(id, fmt.Sprintf("c-%d", i), `{"CallId":"c"}`)
	}
	br := b.signIn()
	const most = 150 << 10
	for _, path := range []string{"/webhooks", "/attempts"} {
		page := br.get(path).want(t, http.StatusOK)
		total := len(page.body)
		files := regexp.MustCompile(`(?:src|href)="(/static/[^"]*)"`).FindAllStringSubmatch(page.body, -1)
		if len(files) < 3 {
			t.Errorf("%s names only the files %v", path, files)
		}
		for _, f := range files {
			total += len(br.get(html.UnescapeString(f[1])).want(t, http.StatusOK).body)
		}
		t.Logf("%s and its %d files have %d bytes", path, len(files), total)
		if total > most {
			t.Errorf("%s and its files have %d bytes, more than %d", path, total, most)
		}
	}
}
