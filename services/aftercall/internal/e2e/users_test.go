package e2e

import (
	"fmt"
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
