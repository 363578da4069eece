package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// tab is one of a real browser. What the browser complains about (the content
// security policy, a script) fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// chromium is the path of a browser, or says that there is none.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("AFTERCALL_TEST_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const how = "NOT RUN in a real browser: apt-get install chromium (or set AFTERCALL_TEST_CHROMIUM)"
	if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
		t.Fatal(how)
	}
	t.Skip(how)
	return ""
}

func newTab(t *testing.T) *tab {
	t.Helper()
	path := chromium(t)
	// Not the test's own folder, which has to be empty in the end: a helper process of
	// the browser may write to it after the browser has ended.
	profile, err := os.MkdirTemp("", "aftercall-e2e-browser-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	allocated, cancelAll := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900),
		chromedp.UserDataDir(profile), chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(cancelAll)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			// That an answer is a 404 or a 422 is the pages' affair.
			if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
				b.complaints = append(b.complaints, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Error())
		}
	})
	// The first run starts the browser, which ends with the context of that run.
	if err := chromedp.Run(ctx, log.Enable()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	return b
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var where, text string
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		_ = chromedp.Run(ctx, chromedp.Location(&where), chromedp.Evaluate(`document.body.innerText`, &text))
		b.t.Fatalf("%v at %s:\n%s", err, where, text)
	}
}

// press presses the button, or follows the link, of this text.
func (b *tab) press(text string) {
	b.t.Helper()
	b.do(chromedp.Click(fmt.Sprintf(`//main//*[self::button or self::a][normalize-space()=%q][not(@tabindex="-1")]`, text), chromedp.BySearch, chromedp.NodeVisible))
}

// sees waits until the page shows a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(fmt.Sprintf(`//main//*[contains(normalize-space(.),%q)]`, text), chromedp.BySearch))
}

// accessible fails the test for what axe-core finds serious or critical.
func (b *tab) accessible(screen string) {
	b.t.Helper()
	var found string
	b.do(chromedp.Evaluate(axe(b.t), nil), chromedp.Evaluate(
		`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.filter(v => v.impact == "serious" || v.impact == "critical")
			.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html)}))))`, &found,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		b.t.Errorf("%s: %s: %s\n%s", screen, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
}

// axe is axe-core 4.14.1 as it is published: testdata/axe/LICENSE.
var axeText = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js"))
	return string(text), err
})

func axe(t *testing.T) string {
	t.Helper()
	text, err := axeText()
	if err != nil {
		t.Fatal(err)
	}
	const published = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
	if sum := sha256.Sum256([]byte(text)); hex.EncodeToString(sum[:]) != published {
		t.Fatal("testdata/axe/axe.min.js is not the published file")
	}
	return text
}

// devWithBrowser is the one-process edition and a tab that is signed in.
func devWithBrowser(t *testing.T) (b *tab, console string, k kafka.Config) {
	t.Helper()
	return devWithBrowserIn(t, filepath.Join(t.TempDir(), "data"))
}

func devWithBrowserIn(t *testing.T, data string) (b *tab, console string, k kafka.Config) {
	t.Helper()
	chromium(t)
	folder := t.TempDir()
	console, broker := freeAddress(t), freeAddress(t)
	p := launch(t, folder, "aftercall", []string{"dev", "--data", data, "--calls", "0",
		"--listen", console, "--kafka-listen", broker, "--receiver-listen", "127.0.0.1:0"}, nil)
	var link string
	wait(t, "the link to the console", func() bool {
		if p.ended() {
			t.Fatal("dev ended")
		}
		for _, l := range p.lines() {
			if rest, ok := strings.CutPrefix(l, "Console"); ok {
				link = strings.TrimSpace(rest)
			}
		}
		return link != "" && status(t, "http://"+console+"/readyz") == http.StatusOK
	})
	b = newTab(t)
	b.do(chromedp.Navigate(link))
	b.sees("Webhooks")
	return b, "http://" + console, kafka.Config{Brokers: []string{broker}}
}

func TestANewcomerAddsBreaksFindsMendsAndResendsInABrowser(t *testing.T) {
	onConsoles(t, newcomer)
}

func newcomer(t *testing.T, b *tab, console string, k kafka.Config) {
	var answer atomic.Int32
	answer.Store(http.StatusOK)
	var taken atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		taken.Add(1)
		w.WriteHeader(int(answer.Load()))
		_, _ = w.Write([]byte("<script>alert('from the endpoint')</script>"))
	}))
	defer receiver.Close()

	// Adds a webhook; a mistake first.
	b.do(chromedp.Navigate(console + "/webhooks/new"))
	b.do(chromedp.SendKeys("#endpoint", "ftp://nowhere", chromedp.ByQuery))
	b.do(chromedp.Evaluate(`document.querySelectorAll("input[name=events]").forEach(e => e.checked = ["App.QueueWebhook", "App.TestWebhook"].includes(e.value))`, nil))
	b.press("Save")
	b.sees("Not saved.")
	b.do(chromedp.SetValue("#endpoint", receiver.URL+"/hook", chromedp.ByQuery))
	b.press("Save")
	b.sees("whsec_")

	// Sends the test, and sees it arrive.
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.press("Send Test Webhook")
	b.reads("Send another")
	b.reads("200 OK in ")
	if taken.Load() == 0 {
		t.Error("the page says delivered, and the receiver got nothing")
	}

	// Breaks the receiver; a call ends.
	var attempts string
	b.do(chromedp.Navigate(console+"/webhooks"), chromedp.Evaluate(fmt.Sprintf(
		`[...document.querySelectorAll("main tr")].find(r => r.textContent.includes(%q)).querySelector('a[href^="/webhooks/"]').getAttribute("href").split("/").slice(0, 3).join("/") + "/attempts"`,
		strings.TrimPrefix(receiver.URL, "http://")), &attempts))
	answer.Store(http.StatusServiceUnavailable)
	kafkatest.Produce(t, k, &kgo.Record{Topic: topic.CDRQueue, Value: []byte(`{"CallId":"<img src=x onerror=alert(1)>","QueueName":"\"><script>alert(2)</script>","CallerNumber":"=HYPERLINK(1)"}`)})
	b.do(chromedp.Navigate(console + attempts + "?result=failed"))
	wait(t, "the failed attempt in the list", func() bool {
		var n int
		b.do(chromedp.Reload(), chromedp.Evaluate(`document.querySelectorAll('main td a[href^="/attempts/"]').length`, &n))
		return n > 0
	})
	b.click(`main td a[href^="/attempts/"]`) // at once: the list moves when there is a new one
	b.sees("503")
	b.sees("<img src=x onerror=alert(1)>")
	b.accessible("the attempt's page")
	var failed string
	b.do(chromedp.Evaluate(`location.pathname`, &failed))

	// Mends it, and resends.
	answer.Store(http.StatusOK)
	before := taken.Load()
	b.press("Resend")
	b.sees("On its way again")
	wait(t, "the resent delivery at the receiver", func() bool { return taken.Load() > before })
	b.do(chromedp.Navigate(console + attempts + "?result=delivered&cause=resend"))
	wait(t, "the resent delivery in the list", func() bool {
		var n int
		b.do(chromedp.Reload(), chromedp.Evaluate(`document.querySelectorAll('main td a[href^="/attempts/"]').length`, &n))
		return n > 0
	})

	// The retry comes by itself, and stands beside what failed.
	b.do(chromedp.Navigate(console + failed))
	wait(t, "the comparison with the retry", func() bool {
		var there bool
		b.do(chromedp.Reload(), chromedp.Evaluate(`document.getElementById("compare") != null`, &there))
		return there
	})
	// What the sender signed verifies by what is stored.
	b.sees("Under the webhook's present secret.")
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.Reload(), chromedp.Evaluate(`for (const d of document.querySelectorAll("details")) d.open = true`, nil))
		b.accessible(scheme + ": the attempt compared, its signature and its JSON")
		b.shoot(scheme + " compared")
	}
	var over int
	b.do(chromedp.EmulateViewport(375, 800), chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &over))
	b.shoot("phone compared")
	if over > 1 {
		t.Errorf("the attempt compared is %d px wider than a phone", over)
	}
}

// sentTest is the page of the test that the drawer shows.
const sentTest = `document.querySelector("#drawer [data-page]").dataset.page`

func TestEveryScreenIsAccessibleInLightAndDark(t *testing.T) {
	b, console, k := devWithBrowser(t)
	kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-1","ScenarioId":"s-1","QueueName":"Sales"}`), kafkatest.CDR(topic.CDRQueue, "", `no JSON`))
	b.do(chromedp.Navigate(console + "/attempts"))
	wait(t, "attempts in the list", func() bool {
		var n int
		b.do(chromedp.Reload(), chromedp.Evaluate(`document.querySelectorAll('main td a[href^="/attempts/"]').length`, &n))
		return n > 0
	})
	var attempt, webhook string
	b.do(chromedp.Evaluate(`document.querySelector('main td a[href^="/attempts/"]').getAttribute("href")`, &attempt),
		chromedp.Navigate(console+"/webhooks"), chromedp.Evaluate(`document.querySelector('main td a[href^="/webhooks/"]').getAttribute("href").split("/").slice(0,3).join("/")`, &webhook))
	screens := []string{"/webhooks", "/webhooks/new", webhook, webhook + "/test", webhook + "/edit", webhook + "/delete", webhook + "/rotate", webhook + "/attempts", "/attempts", "/attempts?result=failed&call=none", "/attempts?attempt=%3E0&result=failed", "/attempts?search=colour:red", attempt,
		"/calls", "/calls?id=c-1", "/rejected", "/replays", "/event-types", "/event-types/App.QueueWebhook", "/event-types/App.IvrWebhook", "/tokens", "/audit", "/erasures", "/health", "/nothing"}
	var delivery, event string
	b.do(chromedp.Navigate(console+attempt), chromedp.Evaluate(`document.querySelector('main a[href^="/deliveries/"]').getAttribute("href")`, &delivery),
		chromedp.Evaluate(`"/events/" + /evt_[a-z0-9]+/.exec(document.querySelector("main").textContent)[0]`, &event))
	var erasure string
	b.do(chromedp.Navigate(console+"/erasures"), chromedp.SetValue("#call", "none"))
	b.press("Count")
	b.sees("Copies in Kafka")
	b.do(chromedp.Evaluate(`location.pathname`, &erasure))
	var plan, sent string
	b.do(chromedp.Navigate(console + "/replays"))
	b.press("Count")
	b.sees("Nothing is sent yet")
	b.do(chromedp.Evaluate(`location.pathname`, &plan), chromedp.Navigate(console+"/webhooks"))
	b.press("Send Test Webhook")
	b.reads("Send another")
	sent = says[string](b, sentTest)
	screens = append(screens, delivery, event, erasure, plan, sent)
	// What is asked before many are changed has no address.
	for button, asked := range map[string]string{"disable": "Disable 1 webhook?", "recover": "Recover what failed of 1 webhook"} {
		b.do(chromedp.Navigate(console+"/webhooks"), chromedp.Click(`main input[name=id]`, chromedp.ByQuery), chromedp.Click(`[formaction$="/selected/`+button+`"]`, chromedp.ByQuery))
		b.sees(asked)
		b.accessible("what is asked before: " + button)
	}
	user, link := b.addUser(console, "ada@example.com")
	screens = append(screens, "/users", user, user+"/remove", "/account", "/login", link)
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, path := range screens {
			b.do(chromedp.Navigate(console + path))
			b.accessible(scheme + " " + path)
			b.shoot(scheme + " " + path)
		}
	}
	// A phone is no wider than its screen.
	b.do(chromedp.EmulateViewport(375, 800))
	for _, path := range screens {
		var over int
		b.do(chromedp.Navigate(console+path), chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &over))
		if over > 1 {
			var widest string
			b.do(chromedp.Evaluate(`[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(-3).map(e => e.outerHTML.slice(0, 120)).join("\n")`, &widest))
			t.Errorf("%s is %d px wider than a phone:\n%s", path, over, widest)
		}
	}
}

// shoot keeps a picture of every screen where AFTERCALL_TEST_SCREENSHOTS says.
func (b *tab) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv("AFTERCALL_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	var picture []byte
	b.do(chromedp.FullScreenshot(&picture, 100))
	if err := os.WriteFile(filepath.Join(folder, strings.NewReplacer("/", "_", "?", "_", "&", "_", "=", "_", " ", "").Replace(name)+".png"), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
