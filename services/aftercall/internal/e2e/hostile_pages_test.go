package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// hostile is text that does harm where it is taken for markup, a script, a formula,
// a terminal's command, or the direction of what stands beside it. A script in it
// that runs sets window.pwned.
const hostile = `</td></title></textarea><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"onfocus="window.pwned=3" '` +
	"\u202egnp.exe\u2066 \u001b[31m\u001b]0;x\u0007 ${7*7} {{.}} =HYPERLINK(\"https://evil.example/\")"

// shortHostile fits where characters are few, and are no control characters.
const shortHostile = hostileName + "\u202e"

// hostileName is one that a webhook may have: nothing in it turns text around.
const hostileName = `=x"><script>window.pwned=4</script><img src=x onerror=window.pwned=5>`

// watched is what a browser did that no page of ours makes it do.
type watched struct {
	mu   sync.Mutex
	seen []string
}

func (w *watched) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

// watch lets a tab tell of every dialog, and of every request to another host.
func (b *tab) watch(host string) *watched {
	b.t.Helper()
	w := &watched{}
	chromedp.ListenTarget(b.ctx, func(event any) {
		switch e := event.(type) {
		case *cdpage.EventJavascriptDialogOpening:
			w.add("a dialog says %q", e.Message)
			go func() { _ = chromedp.Run(b.ctx, cdpage.HandleJavaScriptDialog(true)) }()
		case *network.EventRequestWillBeSent:
			u, err := url.Parse(e.Request.URL)
			if err != nil || u.Host != host && u.Scheme != "data" {
				w.add("a request went to %s", e.Request.URL)
			}
			if strings.HasSuffix(u.Path, "/x") {
				w.add("somebody's image was asked for: %s", e.Request.URL)
			}
		}
	})
	b.do(network.Enable(), cdpage.Enable())
	return w
}

// markup is what nobody but us may have written into a page.
const markup = `[
	...(window.pwned === undefined ? [] : ["a script ran: " + window.pwned]),
	...[...document.querySelectorAll("script:not([src^='/static/']), iframe, object, embed, base, meta[http-equiv], link:not([href^='/static/']), img, style")].map(e => e.outerHTML.slice(0, 200)),
	...[...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => a.name.startsWith("on") || a.name == "style" || /^\s*(javascript|data|vbscript):/i.test(a.value) && ["href", "src", "action", "formaction"].includes(a.name))).map(e => e.outerHTML.slice(0, 200)),
	...[...document.querySelectorAll("a[href], form[action], [formaction]")].filter(e => new URL(e.getAttribute("formaction") || e.getAttribute("action") || e.href, location.href).host != location.host).map(e => e.outerHTML.slice(0, 200)),
]`

// kindOf is what kind of page a link leads to: ids, and the values of its query, are
// of no concern.
var idPattern = regexp.MustCompile(`(sub|dlv|evt|rpl|tok|usr|snd)_[0-9a-z]+|[0-9a-f]{8}-[0-9a-f-]{27}|%[^/]*|App\.\w+|Aftercall\.\w+`)

func kindOf(link *url.URL) string {
	var names []string
	for name, values := range link.Query() {
		if values[0] != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return idPattern.ReplaceAllString(link.EscapedPath(), "{}") + "?" + strings.Join(names, "&")
}

// TestNoPageTakesWhatOthersWroteForItsOwn puts hostile text wherever others can put
// text, and opens every page that a link leads to in a real browser: nothing of it
// is a script, markup, a request to another host or a link to one.
func TestNoPageTakesWhatOthersWroteForItsOwn(t *testing.T) {
	chromium(t)
	data := filepath.Join(t.TempDir(), "data")
	b, console, k := devWithBrowserIn(t, data)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Answer", shortHostile)
		if strings.Contains(r.URL.Path, "broken") {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte("<html><script>window.pwned=6</script>\x00\xc3(" + hostile))
	}))
	defer receiver.Close()
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, base: console + "/api/v1", token: strings.TrimSpace(string(token))}
	var webhook string
	for _, path := range []string{"/%3Cscript%3E?q=%22%3E%3Cimg%20src=x%20onerror=window.pwned=7%3E", "/broken"} {
		webhook = a.subscription(map[string]any{"name": hostileName + path[:4], "description": shortHostile, "endpoint": receiver.URL + path, "events": []string{topic.TypeQueue, topic.TypeTest}, "schedule": "once",
			"headers": []map[string]any{{"name": "x-'*`|~", "value": shortHostile[:40] + "{{.}}", "secret": false}, {"name": "x-key", "value": "k"}}})
	}
	a.subscription(map[string]any{"name": "scoped " + shortHostile[:60], "endpoint": receiver.URL, "events": []string{topic.TypeQueue}, "ou_scope": "Root/" + shortHostile, "filter": `cdr.QueueName == "<script>window.pwned=8</script>"`})
	if status := a.do(http.MethodPost, "/tokens", map[string]any{"name": shortHostile, "scopes": []string{"read"}}, nil); status != http.StatusCreated {
		t.Errorf("adding a token: %d", status)
	}
	if status := a.do(http.MethodPost, "/replays", map[string]any{"mode": "recover", "from": "2026-01-01T00:00:00Z", "why": hostile}, nil); status != http.StatusCreated {
		t.Errorf("planning a replay: %d", status)
	}

	cdrOf := func(fields map[string]any) *kgo.Record {
		var text strings.Builder
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if err := e.Encode(fields); err != nil {
			t.Fatal(err)
		}
		return kafkatest.CDR(topic.CDRQueue, "", text.String())
	}
	call := hostile
	kafkatest.Produce(t, k,
		cdrOf(map[string]any{"CallId": call, "ScenarioId": hostile + "s", "QueueName": hostile, "CallerName": hostile, "OUPath": "Root/" + hostile, "__proto__": map[string]any{"pwned": hostile}, "constructor": hostile, hostile: hostile}),
		cdrOf(map[string]any{"CallId": call + "leg", "ParentId": call, "ScenarioId": hostile + "s", "Transcript": strings.Repeat(hostile+" ", 700_000/len(hostile))}),
		kafkatest.CDR(topic.CDRQueue, "", `{"CallId":{"`+`<script>window.pwned=9</script>`+`":1}}`), kafkatest.CDR(topic.CDRQueue, "", hostile), kafkatest.CDR(topic.CDRQueue, "", `{"<img src=x onerror=window.pwned=10>":`))

	host := strings.TrimPrefix(console, "http://")
	w := b.watch(host)
	b.listed(console+"/attempts?cause=call_ended", 4)
	b.sees("<script>window.pwned=1</script>")
	if how := says[string](b, `getComputedStyle(document.querySelector("main td a")).unicodeBidi`); how != "isolate" {
		t.Errorf("a text turns around what stands beside it: %s", how)
	}
	wait(t, "the rejected records", func() bool {
		b.do(chromedp.Navigate(console + "/rejected"))
		return says[int](b, `document.querySelectorAll("main tbody tr").length`) >= 3
	})
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.press("Send Test Webhook")
	b.sees("Send another")

	// Every page that a link leads to, and those that only an answer to a form or a
	// known id leads to.
	visited := map[string]int{}
	open := func(path string) {
		t.Helper()
		b.do(chromedp.Navigate(console + path))
		for _, found := range says[[]string](b, markup) {
			t.Errorf("%.200s: %s", path, found)
		}
	}
	queue := []string{strings.TrimPrefix(says[string](b, `location.href`), console), "/webhooks", "/webhooks/" + webhook, "/webhooks/" + webhook + "/edit", "/webhooks/" + webhook + "/delete", "/webhooks/" + webhook + "/rotate",
		"/calls?id=" + url.QueryEscape(call), "/calls?id=" + url.QueryEscape(hostile+"none"), "/attempts?call=" + url.QueryEscape(hostile) + "&status=" + url.QueryEscape(hostile), "/attempts?from=" + url.QueryEscape(hostile),
		"/webhooks?q=" + url.QueryEscape(hostile), "/audit?actor=" + url.QueryEscape(hostile), "/replays?from=" + url.QueryEscape(hostile), "/attempts/" + url.PathEscape(hostile), "/nothing/" + url.PathEscape(hostile), "/login?t=" + url.QueryEscape(hostile)}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		open(path)
		for _, link := range says[[]string](b, `[...document.querySelectorAll("a[href]:not([download])")].map(a => a.getAttribute("href"))`) {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s has the link %q: %v", path, link, err)
				continue
			}
			if u.Path == "" || strings.HasPrefix(u.Path, "/static/") {
				continue // to a place on the page
			}
			if kind := kindOf(u); visited[kind] < 2 {
				visited[kind]++
				queue = append(queue, link)
			}
		}
	}
	t.Logf("%d kinds of page: %v", len(visited), slices.Sorted(func(yield func(string) bool) {
		for kind := range visited {
			if !yield(kind) {
				return
			}
		}
	}))
	for _, kind := range []string{"/attempts/{}?", "/deliveries/{}?", "/events/{}?", "/calls?id", "/rejected?", "/replays/{}?", "/audit?", "/tokens?", "/health?", "/event-types/{}?", "/webhooks/{}/attempts?", "/webhooks/{}/edit?"} {
		if visited[kind] == 0 {
			t.Errorf("no page has led to %s", kind)
		}
	}

	// The search finds what it is for.
	b.do(chromedp.Evaluate(`document.querySelector("main").insertAdjacentHTML("beforeend", "<a href='javascript:1'></a><img><base target=_self>")`, nil))
	for _, planted := range []string{"<a", "<img", "<base"} {
		if found := says[[]string](b, markup); !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, planted) }) {
			t.Errorf("the search does not find %s in %v", planted, found)
		}
	}

	// What a form answers.
	form := func(path, script, sees string) {
		t.Helper()
		open(path)
		b.do(chromedp.Evaluate(script, nil))
		b.sees(sees)
		for _, found := range says[[]string](b, markup) {
			t.Errorf("%s, then %s: %s", path, script, found)
		}
	}
	form("/attempts", `document.querySelectorAll("input[name=id]").forEach(e => e.checked = true); document.getElementById("bulk").requestSubmit()`, "Resend ")
	form("/webhooks", `document.querySelectorAll("input[name=id]").forEach(e => e.checked = true); document.querySelector("[formaction$=recover]").click()`, "Recover what failed of")
	form("/webhooks/"+webhook+"/edit", `document.getElementById("endpoint").value = `+quotedJS(hostile)+`; document.querySelector("main form button[value=save]").click()`, "Not saved.")

	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.seen {
		t.Error(what)
	}
}

func quotedJS(text string) string {
	b, _ := json.Marshal(text) // a string can be
	return string(b)
}

// TestTheConsoleWorksWithoutAScript is the newcomer's way in a browser that runs
// none.
func TestTheConsoleWorksWithoutAScript(t *testing.T) {
	b, console, _ := devWithBrowser(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer receiver.Close()
	b.do(emulation.SetScriptExecutionDisabled(true))

	b.do(chromedp.Navigate(console+"/webhooks/new"), chromedp.SendKeys("#endpoint", receiver.URL+"/hook", chromedp.ByQuery),
		chromedp.Click(`input[name=events][value="App.TestWebhook"]`, chromedp.ByQuery))
	if ran := says[bool](b, `document.documentElement.classList.contains("js")`); ran {
		t.Fatal("scripts run")
	}
	b.press("Save")
	b.sees("whsec_")
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.press("Send Test Webhook")
	b.sees("Send another")
	b.listed(console+"/attempts?result=failed&status=418", 1)

	// Resend, from the attempt's page and by a selection.
	b.do(chromedp.Click(`main td a[href^="/attempts/"]`, chromedp.ByQuery))
	b.sees("418")
	b.press("Resend")
	b.sees("On its way again")
	b.listed(console+"/attempts?result=failed&status=418", 1)
	b.do(chromedp.Click(`main tbody tr:first-child input[name=id]`, chromedp.ByQuery))
	b.press("Resend selected…")
	b.sees("Resend 1 delivery?")
	b.press("Resend 1")
	b.sees("1 delivery is on the way again")
	b.listed(console+"/attempts?result=failed&status=418&cause=resend", 2)
}
