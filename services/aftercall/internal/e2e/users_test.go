package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// addUser adds a viewer in the console and answers their page and the path of
// their setup link.
func (b *tab) addUser(console, login string) (page, link string) {
	b.t.Helper()
	b.do(chromedp.Navigate(console+"/users"), chromedp.SendKeys("#login", login, chromedp.ByQuery))
	b.press("Add")
	b.sees(login + " was added")
	b.accessible("the page with the setup link")
	b.do(chromedp.Text("#made", &link, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll('main td a[href^="/users/"]')].find(a => a.textContent == %q).getAttribute("href")`, login), &page))
	return page, strings.TrimPrefix(link, console)
}

func TestAnInvitedPersonSetsAPasswordAndSignsInInABrowser(t *testing.T) {
	b, console, _ := devWithBrowser(t)
	_, link := b.addUser(console, "ada@example.com")
	b.do(chromedp.Click(".who button", chromedp.ByQuery))
	b.sees("Signed out")

	const password = "four words are plenty"
	b.do(chromedp.Navigate(console + link))
	b.sees("Choose your password")
	b.do(chromedp.SendKeys("#password", password, chromedp.ByQuery), chromedp.SendKeys("#again", "something else", chromedp.ByQuery))
	b.press("Set it and sign in")
	b.sees("The two are not the same.")
	b.accessible("the setup form with a mistake")
	b.do(chromedp.SendKeys("#password", password, chromedp.ByQuery), chromedp.SendKeys("#again", password, chromedp.ByQuery))
	b.press("Set it and sign in")
	b.sees("Webhooks")
	b.do(chromedp.Click(".who button", chromedp.ByQuery))
	b.sees("Signed out")

	// The door leads on to where somebody wanted to go.
	b.do(chromedp.Navigate(console + "/replays"))
	b.sees("Name or e-mail")
	b.do(chromedp.SendKeys("#login", "ada@example.com", chromedp.ByQuery), chromedp.SendKeys("#password", "wrong", chromedp.ByQuery))
	b.press("Sign in")
	b.sees("The name or the password is wrong.")
	b.accessible("the sign-in form with a mistake")
	b.do(chromedp.SendKeys("#password", password, chromedp.ByQuery))
	b.press("Sign in")
	b.sees("Replays")
	var menu string
	b.do(chromedp.Text("nav", &menu, chromedp.ByQuery))
	if strings.Contains(menu, "Users") || !strings.Contains(menu, "Replays") {
		t.Errorf("a viewer's menu is %q", menu)
	}
}

func TestTheFirstUserIsMadeWithTheLinkInAdminsLogAndIsThereAfterARestart(t *testing.T) {
	s := onEmbedded(t)
	admin := s.start("admin")
	link, _ := admin.says("console.no_user")["make_the_first"].(string)
	in, err := url.Parse(link)
	if err != nil || in.Path != "/setup" {
		t.Fatalf("the link is %q", link)
	}
	console := "http://" + in.Host
	const password = "four words are plenty"
	// Who is let in is led on; the page behind needs the cookie, which only a jar keeps.
	post := func(path string, form url.Values) (status int, body string) {
		jar, _ := cookiejar.New(nil)
		answer, err := (&http.Client{Jar: jar}).PostForm(console+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	setup := url.Values{"t": {in.Query().Get("t")}, "login": {"boss"}, "password": {password}, "again": {password}}
	if status, body := post("/setup", setup); status != http.StatusOK || !strings.Contains(body, "<h1>Webhooks</h1>") {
		t.Fatalf("setting up answered %d: %s", status, body)
	}
	admin.stop()

	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte("another one, too late\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin = s.start("admin", "AFTERCALL_ADMIN_PASSWORD_FILE="+secret)
	address, _ := admin.says("admin.listening")["address"].(string)
	console = "http://" + address
	if status, body := post("/login", url.Values{"login": {"boss"}, "password": {password}}); status != http.StatusOK || !strings.Contains(body, "<h1>Webhooks</h1>") {
		t.Errorf("signing in answered %d: %s", status, body)
	}
	for path, form := range map[string]url.Values{"/login": {"login": {"admin"}, "password": {"another one, too late"}}, "/setup": setup} {
		if status, _ := post(path, form); status != http.StatusUnauthorized {
			t.Errorf("%s answered %d", path, status)
		}
	}
	if fields, ok := admin.said("console.no_user"); ok {
		t.Errorf("with a user there it logs %v", fields)
	}
	for _, l := range admin.lines() {
		if strings.Contains(l, password) || strings.Contains(l, "too late") {
			t.Errorf("the log has a password: %s", l)
		}
	}
}
