package admin_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// transferred asks as a browser does, which unpacks what comes; wire is how much
// came.
func (br *browser) transferred(path, site string) (a answer, wire int) {
	br.b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, br.b.server.URL+path, nil)
	if err != nil {
		br.b.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	if site != "" {
		req.Header.Set("Sec-Fetch-Site", site)
	}
	a = br.b.do(br.client, req).want(br.b.t, http.StatusOK)
	wire = len(a.body)
	if a.header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			br.b.t.Fatalf("%s: %v", path, err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			br.b.t.Fatalf("%s: %v", path, err)
		}
		a.body = string(text)
	}
	return a, wire
}

// The first page, with all it makes a browser fetch, comes over a slow line in a
// moment, full as it can be: no framework, no font, no picture.
func TestTheFirstPageIsLight(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	const webhooks = 100
	for i := range webhooks {
		id, _ := b.subscribe(fmt.Sprintf(`{"name":"Webhook %d","endpoint":"https://receiver.example/hook/%d","active":true,"events":["App.QueueWebhook","App.AgentWebhook","App.TestWebhook"]}`, i, i))
		b.happened(id, fmt.Sprintf("c-%d", i), `{"CallId":"c"}`)
	}
	br := b.signIn()
	const most = 150 << 10
	for _, path := range []string{"/webhooks", "/attempts"} {
		page, total := br.transferred(path, "same-origin")
		if path == "/webhooks" && strings.Count(page.body, "https://receiver.example/hook/") < webhooks {
			t.Errorf("%s does not show %d webhooks", path, webhooks)
		}
		files := regexp.MustCompile(`(?:src|href)="(/static/[^"]*)"`).FindAllStringSubmatch(page.body, -1)
		if len(files) < 3 {
			t.Errorf("%s names only the files %v", path, files)
		}
		for _, f := range files {
			_, n := br.transferred(html.UnescapeString(f[1]), "same-origin")
			total += n
		}
		t.Logf("%s, %d bytes, and its %d files come as %d bytes", path, len(page.body), len(files), total)
		if total > most {
			t.Errorf("%s and its files have %d bytes, more than %d", path, total, most)
		}
	}
}

// The length of a compressed page would tell another site, which chose some of it,
// about the rest. Which pages show secrets is not for a rule to guess: but for two
// lists nothing is compressed.
func TestOnlyWhatGivesNothingAwayIsCompressed(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(`{"name":"CRM","endpoint":"https://receiver.example/","events":["App.QueueWebhook"]}`)
	br := b.signIn()
	zipped := func(path, site string) bool {
		a, _ := br.transferred(path, site)
		return a.header.Get("Content-Encoding") != ""
	}
	for _, site := range []string{"", "cross-site", "same-site"} {
		if zipped("/webhooks?q=https://receiver.example/", site) {
			t.Errorf("a page that another site asked for is compressed (%q)", site)
		}
	}
	for _, path := range []string{"/webhooks/" + id, "/webhooks/" + id + "/edit", "/tokens", "/audit", "/calls?call=c", "/health", "/attempts/export?format=csv"} {
		if zipped(path, "same-origin") {
			t.Errorf("%s is compressed", path)
		}
	}
	for _, site := range []string{"same-origin", "none"} {
		if !zipped("/webhooks", site) {
			t.Errorf("the list that we ask for is not compressed (%s)", site)
		}
	}
	for _, file := range []string{"/static/app.css", "/static/app.js"} {
		packed, wire := br.transferred(file, "cross-site")
		plain := br.get(file).want(t, http.StatusOK) // Go's client asks for gzip, and unpacks
		req, _ := http.NewRequest(http.MethodGet, b.server.URL+file, nil)
		req.Header.Set("Accept-Encoding", "br, gzip;q=0")
		never := b.do(br.client, req).want(t, http.StatusOK)
		if packed.header.Get("Content-Encoding") != "gzip" || wire > len(packed.body)/2 || packed.body != never.body || plain.body != never.body || never.header.Get("Content-Encoding") != "" {
			t.Errorf("%s comes as %d bytes of %d, and not packed as %d", file, wire, len(packed.body), len(never.body))
		}
		if packed.header.Get("Content-Type") != never.header.Get("Content-Type") || packed.header.Get("Vary") != "Accept-Encoding" || never.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: the headers are %v and %v", file, packed.header, never.header)
		}
	}
	// A token or secret that was just made stands in what was posted for it.
	req, _ := http.NewRequest(http.MethodPost, b.server.URL+"/users", strings.NewReader(url.Values{"login": {"ada"}, "role": {"viewer"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if a := b.do(br.client, req).want(t, http.StatusOK); a.header.Get("Content-Encoding") != "" {
		t.Error("a page with a setup link is compressed")
	}
}
