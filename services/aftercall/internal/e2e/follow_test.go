package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func TestPagesFollowWhatIsTypedAndWhatBecomesOfADelivery(t *testing.T) {
	b, console, k := devWithBrowser(t)
	// It fails once, and takes the retry when the test says so.
	var asked atomic.Int32
	hold := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		<-hold
	}))
	defer receiver.Close()
	take := sync.OnceFunc(func() { close(hold) })
	defer take()
	host := strings.TrimPrefix(receiver.URL, "http://")

	// The preview is of the endpoint while it is typed, and keeps the last that could
	// be one.
	b.do(chromedp.Navigate(console + "/webhooks/new"))
	b.at("/webhooks/new")
	preview := func(has string) {
		t.Helper()
		wait(t, "the preview to have "+has, func() bool {
			return says[bool](b, fmt.Sprintf(`document.getElementById("request-http").textContent.includes(%q) && document.getElementById("request-curl").textContent.includes(%q)`, has, has))
		})
	}
	preview("example.com")
	b.do(chromedp.SendKeys("#endpoint", receiver.URL+"/typed", chromedp.ByQuery))
	preview(host)
	preview("/typed")
	b.do(chromedp.SendKeys(`input[name="header.0.name"]`, "X-Team", chromedp.ByQuery))
	preview("X-Team")
	b.do(chromedp.Evaluate(`(e => { e.value = "no URL"; e.dispatchEvent(new Event("input", {bubbles: true})) })(document.getElementById("endpoint"))`, nil),
		chromedp.SendKeys(`input[name="header.0.name"]`, "-Of-Sales", chromedp.ByQuery))
	preview("X-Team-Of-Sales")
	preview("/typed")
	b.do(chromedp.Evaluate(fmt.Sprintf(`document.getElementById("endpoint").value = %q; document.querySelector('input[name="header.0.name"]').value = "";
		document.getElementById("timeout").value = "25s";
		document.querySelectorAll("input[name=events]").forEach(e => e.checked = e.value == "App.QueueWebhook")`, receiver.URL+"/typed"), nil))
	b.press("Save")
	b.sees("whsec_")

	// A delivery waits for its retry: its page offers to stop it, until it is
	// delivered.
	kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-1"}`))
	b.do(chromedp.Navigate(console + "/attempts?result=failed"))
	wait(t, "the failed attempt", func() bool {
		b.do(chromedp.Reload())
		return says[bool](b, fmt.Sprintf(`(a => { a?.click(); return !!a })([...document.querySelectorAll("#attempts tbody tr")].find(r => r.textContent.includes(%q))?.querySelector('a[href^="/attempts/"]'))`, host))
	})
	b.at("/attempts/")
	const stop = `[...document.querySelectorAll("main .head .actions form")].some(f => f.action.endsWith("/stop"))`
	if !says[bool](b, stop) || !strings.Contains(b.text(`document.querySelector("main .head").innerText`), "stop the scheduled retry") {
		t.Error("a delivery that waits is not offered to be stopped")
	}
	b.do(chromedp.Evaluate(`document.querySelector('main form[action$="/stop"] button').focus()`, nil))
	take()
	delivered := func() bool {
		return says[bool](b, `document.querySelector("#timeline p.now").textContent.includes("delivered")`)
	}
	// On a machine so slow that the retry timed out the next one comes after minutes.
	for end := time.Now().Add(4 * patience); !delivered(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the page never says that it is delivered")
		}
	}
	if says[bool](b, stop) || strings.Contains(b.text(`document.querySelector("main .head").innerText`), "stop the scheduled retry") {
		t.Error("what is delivered is still offered to be stopped")
	}
	if focus := b.text(`document.activeElement.textContent`); !strings.Contains(focus, "Resend") {
		t.Errorf("the focus went from the button that is gone to %q", focus)
	}

	// Filters stand open, and fold on a phone.
	folded := func(path string, width int64) string {
		b.do(chromedp.EmulateViewport(width, 800), chromedp.Navigate(console+path))
		b.at("/")
		return b.text(`(d => d.open + " " + d.querySelector("summary").checkVisibility() + " " + d.querySelector("summary").textContent)(document.querySelector("details[data-fold]"))`)
	}
	for path, on := range map[string]int{"/attempts": 0, "/attempts?result=failed&status=503": 2, "/webhooks?state=active": 1} {
		if got := folded(path, 1280); !strings.HasPrefix(got, "true false") {
			t.Errorf("on a wide screen the filters of %s are open, with a summary: %s", path, got)
		}
		if got := folded(path, 375); got != fmt.Sprintf("false true Filters (%d)", on) {
			t.Errorf("on a phone the filters of %s are open, with a summary: %s", path, got)
		}
		b.accessible("folded filters of " + path)
	}
	b.keys("f")
	if got := says[bool](b, `document.activeElement.closest("details[data-fold]")?.open === true`); !got {
		t.Error("f does not open the filters")
	}
	b.shoot("phone filters")
}
