package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// drawn is a script on the drawer of Send Test Webhook, d.
func drawn(script string) string {
	return `(d => ` + script + `)(document.getElementById("drawer"))`
}

// line is how the drawer has the webhook of this endpoint.
func (b *tab) line(endpoint string) string {
	b.t.Helper()
	return says[string](b, drawn(fmt.Sprintf(`[...d.querySelectorAll("tbody tr")].filter(r => r.textContent.includes(%q)).map(r => r.innerText).join("|")`, endpoint)))
}

func TestATestOpensBesideThePageFillsLiveAndGivesTheFocusBack(t *testing.T) {
	b, console, _ := devWithBrowser(t)
	hold, asked := make(chan struct{}), make(chan struct{}, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-hold
	}))
	defer receiver.Close()
	free := sync.OnceFunc(func() { close(hold) })
	defer free()
	endpoint := strings.TrimPrefix(receiver.URL, "http://") + "/held"
	b.do(chromedp.Navigate(console+"/webhooks/new"), chromedp.SetValue("#endpoint", receiver.URL+"/held", chromedp.ByQuery),
		chromedp.Evaluate(`document.getElementById("timeout").value = "25s"; document.querySelectorAll("input[name=events]").forEach(e => e.checked = e.value == "App.TestWebhook")`, nil))
	b.press("Save")
	b.sees("whsec_")

	// By its button: the page stays, and a webhook's line says how far it is.
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.at("/webhooks")
	const button = `document.querySelector('main .head form[action="/webhooks/test"] button')`
	b.click(`main .head form[action="/webhooks/test"] button`)
	wait(t, "the test at the receiver", func() bool {
		select {
		case <-asked:
			return true
		default:
			return false
		}
	})
	wait(t, "the line to say that it is sending", func() bool { return strings.Contains(b.line(endpoint), "sending") })
	b.at("/webhooks")
	if modal := says[bool](b, drawn(`d.matches(":modal")`)); !modal {
		t.Error("the page beside it can be reached by Tab")
	}
	free()
	wait(t, "the answer in the line", func() bool { return strings.Contains(b.line(endpoint), "200 OK in ") })
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		b.accessible(scheme + ": the drawer")
		b.shoot(scheme + " drawer")
	}
	b.do(chromedp.EmulateViewport(375, 800))
	if over := says[int](b, drawn(`d.scrollWidth - document.documentElement.clientWidth`)); over > 1 {
		t.Errorf("the drawer is %d px wider than a phone", over)
	}
	b.accessible("the drawer on a phone")
	b.shoot("phone drawer")
	b.do(chromedp.EmulateViewport(1280, 900))
	b.keys(kb.Escape)
	closed := `!document.getElementById("drawer").open && document.activeElement === ` + button
	wait(t, "the focus on the button again", func() bool { return says[bool](b, closed) })

	// By T, and again from within; the answer leads to the attempt.
	b.do(chromedp.Evaluate(`document.activeElement.blur()`, nil))
	b.keys("T")
	wait(t, "the second answer", func() bool { return strings.Contains(b.line(endpoint), "200 OK in ") })
	first := says[string](b, drawn(`d.querySelector("#test h2").textContent`))
	b.click(`#drawer form[data-drawer] button`)
	wait(t, "another test in the drawer", func() bool {
		return says[string](b, drawn(`d.querySelector("#test h2").textContent`)) != first && strings.Contains(b.line(endpoint), "200 OK in ")
	})
	if inside := says[bool](b, drawn(`d.contains(document.activeElement)`)); !inside {
		t.Error("the focus left the drawer")
	}
	b.keys(kb.Escape)
	wait(t, "the focus on the button after T", func() bool { return says[bool](b, closed) })
	b.keys("T")
	wait(t, "the last answer", func() bool { return strings.Contains(b.line(endpoint), "200 OK in ") })
	b.do(chromedp.Evaluate(drawn(fmt.Sprintf(`[...d.querySelectorAll("tbody tr")].find(r => r.textContent.includes(%q)).querySelector('a[href^="/attempts/"]').click()`, endpoint)), nil))
	b.at("/attempts/")
	b.reads("Send Test Webhook was pressed.")

	// T opens it wherever somebody is, and nobody's list of attempts goes away.
	b.do(chromedp.Navigate(console + "/attempts"))
	b.at("/attempts")
	b.keys("T")
	wait(t, "the answer beside the attempts", func() bool { return strings.Contains(b.line(endpoint), "200 OK in ") })
	b.at("/attempts")

	// Where nobody would get it, it says so.
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.at("/webhooks")
	b.click(`[data-pick-all] input`)
	b.click(`[formaction$="/disable"]`)
	b.reads("Nothing more is sent to them")
	b.click(`main form.card .actions button`)
	b.reads("were switched off")
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.at("/webhooks")
	b.keys("T")
	b.reads("No active webhook has App.TestWebhook")
	b.accessible("the drawer of a test that nobody gets")
}
