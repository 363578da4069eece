package admin_test

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin"
)

const goodPassword = "four words are plenty"

// stranger is a browser that is not signed in.
func (b *bundle) stranger() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{b, &http.Client{Jar: jar}}
}

var setupLink = regexp.MustCompile(`/setup\?t=([A-Za-z0-9_-]{43})`)

// setupText is the text of the setup link that a page or an answer shows.
func setupText(t testing.TB, body string) string {
	t.Helper()
	m := setupLink.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("there is no setup link in %s", body)
	}
	return m[1]
}

func (br *browser) setUp(text, login string) answer {
	return br.post("/setup", url.Values{"t": {text}, "login": {login}, "password": {goodPassword}, "again": {goodPassword}})
}

// person adds a user by API who has set their password, and answers their id and
// the browser that they are signed in with.
func (b *bundle) person(login, role string) (id string, br *browser) {
	b.t.Helper()
	var made struct {
		ID        string
		SetupPath string `json:"setup_path"`
	}
	b.api("POST", "/users", `{"login":"`+login+`","role":"`+role+`"}`).want(b.t, http.StatusCreated).into(b.t, &made)
	br = b.stranger()
	if a := br.setUp(setupText(b.t, made.SetupPath), ""); a.status != http.StatusOK || !strings.Contains(a.body, "<h1>Webhooks</h1>") {
		b.t.Fatalf("setting up answered %d: %s", a.status, a.body)
	}
	return made.ID, br
}

func (br *browser) signInAs(login, password string) answer {
	return br.post("/login", url.Values{"login": {login}, "password": {password}, "next": {"/health"}})
}

func TestTheFirstUserIsMadeWithTheLinkInTheLog(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := setup(t, storetest.SQLite(t), func(c *admin.Config, d *admin.Deps) { c.SetupInLog, d.Listener = true, ln })
	var link string
	kafkatest.WaitFor(t, "the link in the log", func() bool {
		if m := regexp.MustCompile(`"console.no_user".*?http://[0-9.:]+(/setup\?t=[A-Za-z0-9_-]{43})`).FindStringSubmatch(b.log.String()); m != nil {
			link = m[1]
		}
		return link != ""
	})
	text := setupText(t, link)
	br := b.stranger()
	if gate := br.get("/webhooks").want(t, http.StatusUnauthorized); !strings.Contains(gate.body, "admin&#39;s log") || strings.Contains(gate.body, text) {
		t.Error("the door does not say where the link is")
	}
	// Looking at it does not use it up; it opens no session by itself.
	req, _ := http.NewRequest(http.MethodHead, b.server.URL+link, nil)
	if a := b.do(br.client, req); a.status != http.StatusNoContent {
		t.Errorf("a look answers %d", a.status)
	}
	checkPage(t, link, br.get(link).want(t, http.StatusOK))
	br.get("/login?t="+text).want(t, http.StatusUnauthorized)
	br.get("/webhooks").want(t, http.StatusUnauthorized)

	for name, form := range map[string]url.Values{
		"too short": {"login": {"boss"}, "password": {"short"}, "again": {"short"}}, "not the same": {"login": {"boss"}, "password": {goodPassword}, "again": {"something else"}},
		"a name with spaces": {"login": {"the boss"}, "password": {goodPassword}, "again": {goodPassword}},
	} {
		form.Set("t", text)
		a := br.post("/setup", form).want(t, http.StatusUnprocessableEntity)
		checkPage(t, name, a)
		if !strings.Contains(a.body, `aria-invalid="true"`) || strings.Contains(a.body, "something else") {
			t.Errorf("%s: the form comes back as %s", name, a.body)
		}
	}
	if a := br.setUp(text, " Boss@Example.com ").want(t, http.StatusOK); !strings.Contains(a.body, "boss@example.com") {
		t.Error("the first user is not signed in")
	}
	br.get("/users").want(t, http.StatusOK)
	b.stranger().setUp(text, "second").want(t, http.StatusUnauthorized)
	b.stranger().get(link).want(t, http.StatusUnauthorized)
	if b.logged("user.created", "") != 1 || b.logged("session.opened", "") != 1 {
		t.Error("the audit log does not have the first user")
	}
}

func TestThePasswordOfTheSettingMakesTheUserAdminOnce(t *testing.T) {
	db := storetest.SQLite(t)
	with := func(password string) func(*admin.Config, *admin.Deps) {
		return func(c *admin.Config, _ *admin.Deps) { c.AdminPassword = password }
	}
	b := setup(t, db, with(goodPassword))
	if _, err := admin.New(t.Context(), admin.Config{Kafka: b.kafka, AdminPassword: "short"}, admin.Deps{Store: storetest.SQLite(t), Policy: b.deps.Policy, Keyset: b.deps.Keyset}); err == nil || !strings.Contains(err.Error(), "AFTERCALL_ADMIN_PASSWORD") || strings.Contains(err.Error(), "short ") {
		t.Errorf("a short password answered %v", err)
	}
	b.stranger().signInAs("admin", goodPassword).want(t, http.StatusOK)
	again := setup(t, db, with("another password by now"))
	again.stranger().signInAs("admin", "another password by now").want(t, http.StatusUnauthorized)
	again.stranger().signInAs("Admin", goodPassword).want(t, http.StatusOK)
	if strings.Contains(b.log.String(), goodPassword) || strings.Contains(b.log.String(), "/setup?t=") {
		t.Error("the log has the password or a link")
	}
}

func TestAUserIsAddedSetsTheirPasswordAndSignsIn(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		boss := b.signIn()
		if empty := boss.get("/users").want(t, http.StatusOK); !strings.Contains(empty.body, "No user yet") {
			t.Error("the empty list does not say what comes next")
		}
		wrong := boss.post("/users", url.Values{"login": {`"><script>alert(1)</script>`}, "role": {"root"}}).want(t, http.StatusUnprocessableEntity)
		checkPage(t, "the form", wrong)
		made := boss.post("/users", url.Values{"login": {"Ada@Example.com"}, "role": {"viewer"}}).want(t, http.StatusOK)
		checkPage(t, "the page with the link", made)
		text := setupText(t, made.body)
		boss.post("/users", url.Values{"login": {"ada@example.com"}, "role": {"viewer"}}).want(t, http.StatusConflict)
		list := boss.get("/users").want(t, http.StatusOK)
		if strings.Contains(list.body, text) || !strings.Contains(list.body, "has not set a password yet") {
			t.Error("the list shows the link, or not that she has no password")
		}
		b.stranger().signInAs("ada@example.com", goodPassword).want(t, http.StatusUnauthorized)

		ada := b.stranger()
		if form := ada.get("/setup?t="+text).want(t, http.StatusOK); inputValue(t, form.body, "login") != "ada@example.com" {
			t.Error("the form does not say for whom it is")
		}
		// The name is the link's, whatever the form says.
		if in := ada.setUp(text, "somebody-else").want(t, http.StatusOK); !strings.Contains(in.body, "ada@example.com") {
			t.Error("she is not signed in")
		}
		ada.setUp(text, "").want(t, http.StatusUnauthorized)
		ada.get("/users").want(t, http.StatusForbidden)
		checkPage(t, "/account", ada.get("/account").want(t, http.StatusOK))

		again := b.stranger()
		if gate := again.get("/attempts?result=failed").want(t, http.StatusUnauthorized); inputValue(t, gate.body, "next") != "/attempts?result=failed" {
			t.Error("the door forgets where she wanted to go")
		}
		if in := again.signInAs(" ADA@example.com", goodPassword).want(t, http.StatusOK); !strings.Contains(in.body, "<h1>Health</h1>") {
			t.Error("signing in does not lead where she wanted to go")
		}
		cookies := again.client.Jar.Cookies(mustURL(t, b.server.URL))
		if len(cookies) != 1 {
			t.Errorf("the cookies are %v", cookies)
		}
		if out := again.post("/logout", nil).want(t, http.StatusOK); !strings.Contains(out.body, `href="/login"`) {
			t.Error("signed out there is no way in")
		}
		again.get("/webhooks").want(t, http.StatusUnauthorized)
		for action, times := range map[string]int{"user.created": 1, "user.password_set": 1, "session.opened": 3} {
			if n := b.logged(action, ""); n != times {
				t.Errorf("%s is %d times in the audit log", action, n)
			}
		}
		if log := boss.get("/audit?actor=ada@example.com").want(t, http.StatusOK); !strings.Contains(log.body, "session.opened") || !strings.Contains(log.body, "setup link") {
			t.Error("the audit log does not name her")
		}
	})
}

func TestWhoCannotSignInIsNotTold(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.person("disabled", "viewer")
	b.person("ada", "viewer")
	b.api("POST", "/users", `{"login":"invited","role":"viewer"}`).want(t, http.StatusCreated)
	b.api("PATCH", "/users/"+id, `{"disabled":true}`, "If-Match", "*").want(t, http.StatusOK)
	var first string
	for login, password := range map[string]string{"ada": "wrong", "nobody": "wrong", "invited": "", "disabled": goodPassword, "' or 1=1 --": "wrong", strings.Repeat("a", 5000): "wrong"} {
		a := b.stranger().signInAs(login, password).want(t, http.StatusUnauthorized)
		checkPage(t, "the form", a)
		body := strings.NewReplacer(`value="`+login+`"`, "", strings.ReplaceAll(`value="`+login+`"`, "'", "&#39;"), "").Replace(a.body)
		if first == "" {
			first = body
		}
		if body != first {
			t.Errorf("%.20q is answered differently: %s", login, a.body)
		}
	}
}

// How long it takes is not asserted: the wait doubles, so that it comes in the end
// however slow the machine is.
func TestWrongPasswordsAreSlowedDown(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	b.person("ada", "viewer")
	for _, login := range []string{"ada", "nobody"} {
		var slow answer
		for range 20 {
			if slow = b.stranger().signInAs(login, "wrong"); slow.status != http.StatusUnauthorized {
				break
			}
		}
		slow.want(t, http.StatusTooManyRequests)
		if slow.header.Get("Retry-After") == "" || !strings.Contains(slow.body, "Too many wrong passwords") {
			t.Errorf("%s is answered %s", login, slow.body)
		}
	}
	b.person("grace", "viewer")
	b.stranger().signInAs("grace", goodPassword).want(t, http.StatusOK)
	if strings.Contains(b.log.String(), `"ada"`) || !strings.Contains(b.log.String(), "sign_in.refused") {
		t.Error("the log names whom somebody tried, or says nothing")
	}
}

// What is taken away is gone with the next request of a session that is open.
func TestAChangeOfAUserCountsInTheMidstOfASession(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		boss := b.signIn()
		id, ada := b.person("ada", "viewer")
		other := b.stranger()
		other.signInAs("ada", goodPassword).want(t, http.StatusOK)
		ada.get("/replays").want(t, http.StatusOK)
		ada.get("/webhooks/new").want(t, http.StatusForbidden)
		ada.get("/users").want(t, http.StatusForbidden)

		boss.post("/users/"+id+"/role", url.Values{"role": {"admin"}}).want(t, http.StatusOK)
		ada.get("/users").want(t, http.StatusOK)
		ada.get("/webhooks/new").want(t, http.StatusOK)
		boss.post("/users/"+id+"/role", url.Values{"role": {"root"}}).want(t, http.StatusUnprocessableEntity)
		b.person("second", "admin") // so that ada is not the last
		boss.post("/users/"+id+"/role", url.Values{"role": {"operator"}}).want(t, http.StatusOK)
		ada.get("/users").want(t, http.StatusForbidden)
		ada.get("/webhooks/new").want(t, http.StatusForbidden)
		ada.post("/users", url.Values{"login": {"mallory"}, "role": {"admin"}}).want(t, http.StatusForbidden)
		ada.get("/webhooks").want(t, http.StatusOK)

		boss.post("/users/"+id+"/sign-out", nil).want(t, http.StatusOK)
		ada.get("/webhooks").want(t, http.StatusUnauthorized)
		other.get("/webhooks").want(t, http.StatusUnauthorized)
		ada.signInAs("ada", goodPassword).want(t, http.StatusOK)

		boss.post("/users/"+id+"/disable", nil).want(t, http.StatusOK)
		ada.get("/webhooks").want(t, http.StatusUnauthorized)
		ada.signInAs("ada", goodPassword).want(t, http.StatusUnauthorized)
		boss.post("/users/"+id+"/link", nil).want(t, http.StatusConflict)
		boss.post("/users/"+id+"/enable", nil).want(t, http.StatusOK)
		ada.get("/webhooks").want(t, http.StatusUnauthorized)
		ada.signInAs("ada", goodPassword).want(t, http.StatusOK)

		// A new link sets a new password, and ends what the old one opened.
		text := setupText(t, boss.post("/users/"+id+"/link", nil).want(t, http.StatusOK).body)
		ada.get("/webhooks").want(t, http.StatusOK)
		fresh := b.stranger()
		fresh.post("/setup", url.Values{"t": {text}, "password": {"another password"}, "again": {"another password"}}).want(t, http.StatusOK)
		ada.get("/webhooks").want(t, http.StatusUnauthorized)
		ada.signInAs("ada", goodPassword).want(t, http.StatusUnauthorized)

		checkPage(t, "the question", boss.get("/users/"+id+"/remove").want(t, http.StatusOK))
		boss.post("/users/"+id+"/remove", nil).want(t, http.StatusOK)
		fresh.get("/webhooks").want(t, http.StatusUnauthorized)
		ada.signInAs("ada", "another password").want(t, http.StatusUnauthorized)
		for action, times := range map[string]int{"user.changed": 4, "user.signed_out": 1, "user.link_created": 1, "user.removed": 1} {
			if n := b.logged(action, id); n != times {
				t.Errorf("%s is %d times in the audit log", action, n)
			}
		}
	})
}

func TestAStreamEndsWhenItsUserIsDisabled(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, ada := b.person("ada", "viewer")
	o := b.open(ada.client, "/stream")
	b.api("PATCH", "/users/"+id, `{"role":"operator"}`, "If-Match", "*").want(t, http.StatusOK)
	b.api("PATCH", "/users/"+id, `{"disabled":true}`, "If-Match", "*").want(t, http.StatusOK)
	o.ended()
}

func TestTheLastAdministratorStays(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, boss := b.person("boss", "admin")
	b.api("POST", "/users", `{"login":"invited","role":"admin"}`).want(t, http.StatusCreated) // has no password
	for path, form := range map[string]url.Values{"/role": {"role": {"viewer"}}, "/disable": nil, "/remove": nil} {
		a := boss.post("/users/"+id+path, form).want(t, http.StatusConflict)
		if !strings.Contains(a.body, "last administrator") {
			t.Errorf("%s is refused without a reason: %s", path, a.body)
		}
	}
	b.api("DELETE", "/users/"+id, "", "If-Match", "*").wantProblem(t, http.StatusConflict, "conflict", "")
	b.person("second", "admin")
	boss.post("/users/"+id+"/role", url.Values{"role": {"viewer"}})
	boss.get("/users").want(t, http.StatusForbidden)
}

func TestSomebodyChangesTheirOwnPassword(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	_, ada := b.person("ada", "viewer")
	other := b.stranger()
	other.signInAs("ada", goodPassword).want(t, http.StatusOK)
	change := func(old, password, again string) answer {
		a := ada.post("/account/password", url.Values{"old": {old}, "password": {password}, "again": {again}})
		checkPage(t, "/account", a)
		return a
	}
	const next = "now some other words"
	change("wrong", next, next).want(t, http.StatusUnprocessableEntity)
	change(goodPassword, next, "different").want(t, http.StatusUnprocessableEntity)
	change(goodPassword, "ada", "ada").want(t, http.StatusUnprocessableEntity)
	other.get("/webhooks").want(t, http.StatusOK)
	if a := change(goodPassword, next, next).want(t, http.StatusOK); !strings.Contains(a.body, "Your password is changed") {
		t.Error("the page does not say so")
	}
	ada.get("/webhooks").want(t, http.StatusOK)
	other.get("/webhooks").want(t, http.StatusUnauthorized)
	other.signInAs("ada", goodPassword).want(t, http.StatusUnauthorized)
	other.signInAs("ada", next).want(t, http.StatusOK)
	ada.post("/account/sign-out", nil).want(t, http.StatusOK)
	ada.get("/webhooks").want(t, http.StatusOK)
	other.get("/webhooks").want(t, http.StatusUnauthorized)

	// Who came by a one-time link has none.
	boss := b.signIn()
	if page := boss.get("/account").want(t, http.StatusOK); strings.Contains(page.body, `type="password"`) {
		t.Error("the page offers a password to whoever has none")
	}
	boss.post("/account/password", url.Values{"old": {"x"}, "password": {next}, "again": {next}}).want(t, http.StatusConflict)
}

func TestSigningInLeadsNowhereElseAndComesFromNowhereElse(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	b.person("ada", "viewer")
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/\t/evil.example", "/\n/evil.example", "/ /evil.example", "", "javascript:alert(1)"} {
		br := b.stranger()
		br.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		a := br.post("/login", url.Values{"login": {"ada"}, "password": {goodPassword}, "next": {next}}).want(t, http.StatusSeeOther)
		if to := a.header.Get("Location"); to != "/webhooks" {
			t.Errorf("%q leads to %q", next, to)
		}
		if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
			t.Errorf("the cookie is %q", cookie)
		}
	}
	for _, path := range []string{"/login", "/setup", "/users", "/account/password"} {
		req, _ := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(url.Values{"login": {"ada"}, "password": {goodPassword}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if a := b.do(http.DefaultClient, req); a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s takes what another site posts: %d", path, a.status)
		}
		// Over plain http from elsewhere there is no session at all.
		req, _ = http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader("login=ada&password="+url.QueryEscape(goodPassword)))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Host = "console.example"
		if a := b.do(http.DefaultClient, req); a.header.Get("Set-Cookie") != "" || a.status < 400 {
			t.Errorf("%s opens a session over plain http: %d", path, a.status)
		}
	}
}

// A proxy may ask for us by another name than people do. What the browser says of
// a form is then held against the address that people use.
func TestTheAddressThatPeopleUseIsNotElsewhere(t *testing.T) {
	b := setup(t, storetest.SQLite(t), func(c *admin.Config, _ *admin.Deps) { c.PublicURL = "https://console.example" })
	for origin, status := range map[string]int{"https://console.example": http.StatusUnauthorized, "http://console.example": http.StatusForbidden, "https://evil.example": http.StatusForbidden} {
		req, _ := http.NewRequest(http.MethodPost, b.server.URL+"/login", strings.NewReader("login=ada&password=x"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		b.do(http.DefaultClient, req).want(t, status)
	}
}

// logged is how often the audit log has this action, on this object where it is
// not "", whoever did it.
func (b *bundle) logged(action, object string) int {
	b.t.Helper()
	entries, _, err := b.db.Audit(context.Background(), store.AuditQuery{Action: action, Object: object})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(entries)
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
