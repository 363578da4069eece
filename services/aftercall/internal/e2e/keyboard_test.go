package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// keys presses one after the other, as a keyboard does: what a page prevents on the
// way down types nothing.
func (b *tab) keys(keys string) {
	b.t.Helper()
	var all []chromedp.Action
	for _, r := range keys {
		text := ""
		for _, e := range kb.Encode(r) {
			if e.Type == input.KeyChar {
				text = e.Text
			}
		}
		for _, e := range kb.Encode(r) {
			switch e.Type {
			case input.KeyChar:
				continue
			case input.KeyDown:
				e.Text = text
			}
			all = append(all, e)
		}
	}
	b.do(all...)
}

// at waits until the browser stands on a page whose path begins so, and its
// scripts have run.
func (b *tab) at(path string) {
	b.t.Helper()
	wait(b.t, "the page "+path, func() bool {
		state := b.now(`document.readyState == "complete" && document.documentElement.className == "js" && location.pathname`)
		return strings.HasPrefix(state, path)
	})
}

// now is what a script answers as text, or nothing while one page gives way to the
// next.
func (b *tab) now(script string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	var answer string
	if err := chromedp.Run(ctx, chromedp.Evaluate(`String(`+script+`)`, &answer)); err != nil {
		return ""
	}
	return answer
}

// says is what a script answers.
func says[T any](b *tab, script string) T {
	b.t.Helper()
	var answer T
	b.do(chromedp.Evaluate(script, &answer))
	return answer
}

// click clicks on what chromedp's own way of waiting for nodes does not find: what
// scripts show, or lift into the top layer.
func (b *tab) click(selector string) {
	b.t.Helper()
	wait(b.t, selector, func() bool {
		return says[bool](b, fmt.Sprintf(`(e => { e?.click(); return !!e })(document.querySelector(%q))`, selector))
	})
}

// reads waits until a page has a text, whichever page it is by then.
func (b *tab) reads(text string) {
	b.t.Helper()
	wait(b.t, "the page to say "+text, func() bool {
		return b.now(fmt.Sprintf(`document.body.innerText.includes(%q)`, text)) == "true"
	})
}

// listed opens a list of attempts when it has so many rows.
func (b *tab) listed(path string, rows int) {
	b.t.Helper()
	b.do(chromedp.Navigate(path))
	wait(b.t, "attempts in the list", func() bool {
		b.do(chromedp.Reload())
		return says[int](b, `document.querySelectorAll('main td a[href^="/attempts/"]').length`) >= rows
	})
}

const focusedRow = `[...document.querySelectorAll("main tbody tr")].indexOf(document.activeElement.closest("tr"))`

func TestTheConsoleIsDrivenByTheKeyboard(t *testing.T) {
	b, console, k := devWithBrowser(t)
	kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-1"}`), kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-2"}`), kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-3"}`))
	b.listed(console+"/attempts?cause=call_ended", 3)
	b.at("/attempts")

	// Rows: the next, the one before, open.
	b.keys("jjjk")
	if row := says[int](b, focusedRow); row != 1 {
		t.Errorf("j, j, j, k stand on row %d", row)
	}
	b.keys(kb.Enter)
	b.sees("Request as sent")
	b.at("/attempts/")
	b.keys("c")
	b.sees("Cop") // Copied, or selected where the browser keeps its clipboard
	if text := says[string](b, `document.getElementById("curl").textContent`); !strings.HasPrefix(text, "curl -i -X POST 'http://127.0.0.1:") || strings.Contains(text, "webhook-signature") {
		t.Errorf("the command is %s", text)
	}

	// Select, clear, select and resend: a page asks first.
	b.listed(console+"/attempts?cause=call_ended", 3)
	b.at("/attempts")
	checked := `document.querySelectorAll("input[name=id]:checked").length`
	b.keys("jx")
	if n := says[int](b, checked); n != 1 {
		t.Errorf("x selects %d", n)
	}
	b.keys(kb.Escape)
	if n := says[int](b, checked); n != 0 {
		t.Errorf("Escape leaves %d selected", n)
	}
	b.keys("xjxr")
	b.sees("Resend 2 deliveries?")
	b.accessible("the confirmation of a resend")
	b.shoot("confirm resend")
	b.press("Resend 2")
	b.sees("2 deliveries are on the way again")
	b.accessible("the outcome of a resend")
	b.listed(console+"/attempts?cause=call_ended", 3)
	b.at("/attempts")
	b.keys("jr")
	b.sees("On its way again")

	// Places.
	for keys, path := range map[string]string{"gw": "/webhooks", "gd": "/attempts", "gh": "/health"} {
		b.keys(keys)
		b.at(path)
	}
	b.keys("gw")
	b.at("/webhooks")
	b.keys("T")
	b.reads("Send another")

	// Typing is typing, wherever it happens.
	b.do(chromedp.Navigate(console + "/attempts"))
	b.at("/attempts")
	b.keys("/")
	b.keys("jxrg?wT")
	if typed := says[string](b, `document.activeElement.value`); typed != "jxrg?wT" {
		t.Errorf("%q was typed", typed)
	}
	b.keys(kb.Escape)
	b.keys("f")
	if in := says[bool](b, `document.activeElement.closest("form.filters") !== null`); !in {
		t.Error("f does not lead to the filters")
	}
	b.keys(kb.Escape)

	// All of a page, by the box in its head.
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.at("/webhooks")
	b.click(`[data-pick-all] input`)
	all := says[int](b, `document.querySelectorAll("input[name=id]").length`)
	if n := says[int](b, checked); n != all || n == 0 {
		t.Errorf("%d of %d are selected", n, all)
	}
	b.click(`[formaction$="/disable"]`)
	b.reads("Nothing more is sent to them")
	b.accessible("the confirmation of Disable")
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.at("/webhooks")
	b.click(`tbody input[name=id]`)
	b.click(`[formaction$="/recover"]`)
	b.reads("Recover what failed of 1 webhook")
	b.accessible("Recover failed")

	// Help, and the switch that turns them off for good.
	b.do(chromedp.Navigate(console + "/attempts"))
	b.at("/attempts")
	b.keys("?")
	if open := says[bool](b, `document.getElementById("keys").open`); !open {
		t.Fatal("? opens nothing")
	}
	b.accessible("the help")
	b.shoot("keys")
	b.keys(kb.Escape)
	for _, selector := range []string{"[data-keys]", "#keys-on", "#keys button"} {
		b.click(selector)
	}
	b.do(chromedp.Reload())
	b.at("/attempts")
	b.keys("gwj?")
	if open, row := says[bool](b, `document.getElementById("keys").open`), says[int](b, focusedRow); open || row >= 0 {
		t.Errorf("they are off, and the help is open: %v, the row is %d", open, row)
	}
}
