package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// onConsoles runs a flow in the console of the one process with SQLite, and in that
// of the services on the real Kafka with PostgreSQL, signed in as an administrator.
func onConsoles(t *testing.T, flow func(t *testing.T, b *tab, console string, k kafka.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		b, console, k := devWithBrowser(t)
		flow(t, b, console, k)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		chromium(t)
		s := onReal(t)
		const password = "four words are plenty"
		file := filepath.Join(s.folder, "password")
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		admin := s.begin("admin", append([]string{"AFTERCALL_ADMIN_PASSWORD_FILE=" + file}, open...)...)
		s.start("router")
		s.start("projector")
		s.start("sender", open...)
		admin.ready()
		address, _ := admin.says("admin.listening")["address"].(string)
		b := newTab(t)
		b.signIn("http://"+address, "admin", password)
		flow(t, b, "http://"+address, s.kafka)
	})
}

func (b *tab) signIn(console, login, password string) {
	b.t.Helper()
	b.do(chromedp.Navigate(console+"/login"), chromedp.SetValue("#login", login, chromedp.ByQuery), chromedp.SendKeys("#password", password, chromedp.ByQuery))
	b.press("Sign in")
	b.reads("Send Test Webhook")
}

// become signs out, and in again as a new user of this role.
func (b *tab) become(console, login, role string) {
	b.t.Helper()
	const password = "five words are plenty too"
	page, link := b.addUser(console, login)
	b.do(chromedp.Navigate(console+page), chromedp.Click(`input[name="role"][value="`+role+`"]`, chromedp.ByQuery))
	b.press("Change role")
	wait(b.t, "the new role", func() bool { return b.now(`location.search`) == "?done=role" })
	b.do(chromedp.Click(".who button", chromedp.ByQuery))
	b.sees("Signed out")
	b.do(chromedp.Navigate(console+link), chromedp.SendKeys("#password", password, chromedp.ByQuery), chromedp.SendKeys("#again", password, chromedp.ByQuery))
	b.press("Set it and sign in")
	b.reads("Send Test Webhook")
}

// addWebhook adds one for calls that left a queue, and answers its path.
func (b *tab) addWebhook(console, name, endpoint, schedule string) string {
	b.t.Helper()
	b.do(chromedp.Navigate(console+"/webhooks/new"), chromedp.SetValue("#endpoint", endpoint, chromedp.ByQuery), chromedp.Evaluate(fmt.Sprintf(
		`document.querySelectorAll("input[name=events]").forEach(e => e.checked = e.value == "App.QueueWebhook");
		document.querySelectorAll("details").forEach(d => d.open = true);
		document.getElementById("name").value = %q;
		document.querySelector('input[name=schedule][value=%q]').checked = true`, name, schedule), nil))
	b.press("Save")
	b.sees("whsec_")
	var path string
	b.do(chromedp.Navigate(console+"/webhooks"), chromedp.Evaluate(fmt.Sprintf(
		`[...document.querySelectorAll("main a.cell-main")].find(a => a.textContent == %q).getAttribute("href")`, name), &path))
	return path
}

// pick selects the rows of these names in a list.
func (b *tab) pick(names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.do(chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll("main tbody tr")].find(r => r.querySelector("a.cell-main").textContent == %q).querySelector("input[name=id]").click()`, n), nil))
	}
}

// outage is a receiver that is down until it is mended.
type outage struct {
	*httptest.Server
	mended atomic.Bool
	mu     sync.Mutex
	taken  map[string]map[string]bool // by path, the webhook-ids
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{taken: map[string]map[string]bool{}}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.mended.Load() {
			if r.URL.Path == "/later" {
				w.Header().Set("Retry-After", "1200")
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("under maintenance"))
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.taken[r.URL.Path] == nil {
			o.taken[r.URL.Path] = map[string]bool{}
		}
		o.taken[r.URL.Path][r.Header.Get("Webhook-Id")] = true
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *outage) took(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.taken[path])
}

func TestAnAdministratorSetsUpPeopleAndProgramsAndSeesWhoDidWhatInABrowser(t *testing.T) {
	onConsoles(t, func(t *testing.T, b *tab, console string, k kafka.Config) {
		o := newOutage(t)
		o.mended.Store(true)
		path := b.addWebhook(console, "Sales", o.URL+"/hook", "72h")

		// A program gets a token, uses it, and loses it at once.
		b.do(chromedp.Navigate(console+"/tokens"), chromedp.SendKeys("#name", "dashboard", chromedp.ByQuery),
			chromedp.Evaluate(`document.querySelectorAll("input[name=scope]").forEach(e => e.checked = e.value == "read")`, nil))
		b.press("Make it")
		var token string
		b.do(chromedp.Text("#made", &token, chromedp.ByQuery))
		asks := func() int {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, console+"/api/v1/subscriptions", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			return answer.StatusCode
		}
		if s := asks(); s != http.StatusOK {
			t.Errorf("the new token is answered %d", s)
		}
		b.press("Revoke dashboard")
		b.reads("it opens nothing any more")
		if s := asks(); s != http.StatusUnauthorized {
			t.Errorf("the revoked token is answered %d", s)
		}

		// The secret is rotated and shown once.
		b.do(chromedp.Navigate(console + path + "/rotate"))
		b.press("Rotate")
		b.sees("whsec_")
		var rotated string
		b.do(chromedp.Text("#secret", &rotated, chromedp.ByQuery), chromedp.Navigate(console+path+"/edit"))
		if page := says[string](b, `document.documentElement.outerHTML`); !strings.HasPrefix(rotated, "whsec_") || strings.Contains(page, rotated) {
			t.Error("the secret is shown again")
		}

		// A caller asks to be forgotten.
		kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"c-forget","QueueName":"Sales","CallerNumber":"+49301234567"}`))
		wait(t, "the call at the receiver", func() bool { return o.took("/hook") == 1 })
		b.do(chromedp.Navigate(console + "/attempts?call=c-forget"))
		wait(t, "the call in the history", func() bool {
			b.do(chromedp.Reload())
			return says[int](b, `document.querySelectorAll('main td a[href^="/attempts/"]').length`) > 0
		})
		b.do(chromedp.Navigate(console+"/erasures"), chromedp.SendKeys("#number", "+49301234567", chromedp.ByQuery))
		b.press("Count")
		b.reads("Erase for good")
		b.press("Erase for good")
		b.reads("What was erased")

		// A webhook is disabled with the count before the confirm.
		b.do(chromedp.Navigate(console + "/webhooks"))
		b.pick("Sales")
		b.press("Disable selected…")
		b.press("Disable 1")
		b.reads("1 webhook was switched off")
		b.do(chromedp.Navigate(console + "/webhooks"))
		wait(t, "the row to say Off", func() bool {
			return b.now(`[...document.querySelectorAll("main tbody tr")].find(r => r.textContent.includes("Sales"))?.textContent.includes("Off")`) == "true"
		})

		// Who did what.
		for _, action := range []string{"subscription.created", "token.created", "token.revoked", "subscription.secret_rotated", "subscription.updated"} {
			b.do(chromedp.Navigate(console + "/audit?action=" + url.QueryEscape(action)))
			if !says[bool](b, fmt.Sprintf(`[...document.querySelectorAll("main .tag")].some(e => e.textContent == %q)`, action)) {
				t.Errorf("the audit log has no %s", action)
			}
		}
		b.accessible("the audit log")
	})
}

func TestAnOperatorFindsAnOutageAndMakesItGoodInABrowser(t *testing.T) {
	onConsoles(t, func(t *testing.T, b *tab, console string, k kafka.Config) {
		o := newOutage(t)
		b.addWebhook(console, "Gives up", o.URL+"/once", "once")
		later := b.addWebhook(console, "Waits", o.URL+"/later", "72h")
		b.become(console, "olga", "operator")

		const calls = 3
		for i := range calls {
			kafkatest.Produce(t, k, kafkatest.CDR(topic.CDRQueue, "", fmt.Sprintf(`{"CallId":"c-%d","QueueName":"Sales"}`, i)))
		}
		// What failed, and why.
		b.listed(console+"/attempts?result=failed", calls+1)
		b.click(`main td a[href^="/attempts/"]`)
		b.sees("503")
		b.sees("under maintenance")
		b.accessible("what an operator sees of a failure")
		// One call, and what became of it at each webhook.
		b.do(chromedp.Navigate(console + "/calls?id=c-0"))
		b.reads("Gives up")
		b.reads("Waits")
		// Changing webhooks is not an operator's affair.
		b.do(chromedp.Navigate(console + "/webhooks/new"))
		b.reads("Your role does not allow this")

		// The endpoint is mended. What waits is sent now, whatever it asked for.
		o.mended.Store(true)
		b.do(chromedp.Navigate(console + later + "/attempts"))
		wait(t, "something that waits", func() bool {
			b.do(chromedp.Reload())
			return says[bool](b, `document.querySelector('form[action$="/send-waiting"] button') != null`)
		})
		b.click(`form[action$="/send-waiting"] button`)
		b.reads("Send waiting now, by olga")
		wait(t, "all that waited", func() bool { return o.took("/later") == calls })

		// What was given up is counted, and recovered.
		b.do(chromedp.Navigate(console + "/webhooks"))
		b.pick("Gives up")
		b.press("Recover failed…")
		b.do(chromedp.SendKeys("#why", "maintenance took longer", chromedp.ByQuery))
		b.press("Count")
		b.reads(fmt.Sprintf("%d deliveries are concerned", calls))
		if n := o.took("/once"); n != 0 {
			t.Errorf("%d were sent before anybody said so", n)
		}
		b.press("Run")
		wait(t, "all that was given up", func() bool { return o.took("/once") == calls })
		b.reads(fmt.Sprintf("%d sent", calls))
		// Nothing is left.
		b.listed(console+"/attempts?result=delivered", 2*calls)
	})
}
