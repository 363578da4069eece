package admin_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin/internal/access"
)

func TestATokenIsShownOnceAndRevokedAtOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		br := b.signIn()
		wrong := br.post("/tokens", url.Values{"name": {" "}, "scope": {"everything"}}).want(t, http.StatusUnprocessableEntity)
		for _, text := range []string{"Say who or what uses it", `aria-invalid="true"`} {
			if !strings.Contains(wrong.body, text) {
				t.Errorf("the form comes back without %q", text)
			}
		}
		made := br.post("/tokens", url.Values{"name": {"<b>dashboard</b>"}, "scope": {"read", "resend"}, "expires": {"30"}}).want(t, http.StatusOK)
		token := regexp.MustCompile(`act_[A-Za-z0-9_-]{43}`).FindString(made.body)
		if token == "" || strings.Contains(made.body, "<b>dashboard") {
			t.Fatalf("the page shows %s", made.body)
		}
		if list := br.get("/tokens").want(t, http.StatusOK); strings.Contains(list.body, token) || !strings.Contains(list.body, "read, resend") {
			t.Error("the list shows a token's text, or not what it may do")
		}
		br.post("/tokens", url.Values{"name": {"<b>dashboard</b>"}, "scope": {"read"}}).want(t, http.StatusConflict)
		b.api("GET", "/subscriptions", "", "Authorization", "Bearer "+token).want(t, http.StatusOK)
		b.api("GET", "/tokens", "", "Authorization", "Bearer "+token).want(t, http.StatusForbidden)

		id := regexp.MustCompile(`/tokens/(tok_[a-z0-9]+)/revoke"><button class="button tiny">Revoke<span class="visually-hidden"> &lt;b&gt;dash`).FindStringSubmatch(br.get("/tokens").body)
		if id == nil {
			t.Fatal("there is no button to revoke it")
		}
		br.post("/tokens/"+id[1]+"/revoke", nil).want(t, http.StatusOK)
		b.api("GET", "/subscriptions", "", "Authorization", "Bearer "+token).want(t, http.StatusUnauthorized)
		if list := br.get("/tokens"); !strings.Contains(list.body, ">revoked<") {
			t.Error("the list does not say that it is revoked")
		}

		log := br.get("/audit?action=token.revoked").want(t, http.StatusOK)
		if !strings.Contains(log.body, id[1]) || strings.Contains(log.body, "token.created</span>") {
			t.Errorf("the audit log shows %s", log.body)
		}
		if none := br.get("/audit?actor=nobody").want(t, http.StatusOK); !strings.Contains(none.body, "Nothing matches") || !strings.Contains(none.body, "Clear filters") {
			t.Error("a filter that nothing matches does not say so")
		}
		var page struct {
			Items []struct{ Action, Object, Actor string }
		}
		b.api("GET", "/audit?object="+id[1], "").want(t, http.StatusOK).into(t, &page)
		if len(page.Items) != 2 || page.Items[0].Action != "token.revoked" || page.Items[1].Action != "token.created" || page.Items[0].Actor == "" {
			t.Errorf("the API answers %+v", page.Items)
		}
	})
}

func TestTokensAndAuditAreForAdministratorsOnly(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	text, err := access.NewLoginLink(t.Context(), b.db, "reader", []string{access.Read})
	if err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	br := &browser{b, &http.Client{Jar: jar}}
	if a := br.get("/login?t=" + text); a.status != http.StatusOK {
		t.Fatalf("the link answers %d", a.status)
	}
	if list := br.get("/webhooks").want(t, http.StatusOK); strings.Contains(list.body, `href="/tokens"`) || strings.Contains(list.body, `href="/audit"`) {
		t.Error("the menu leads where it may not go")
	}
	for _, path := range []string{"/tokens", "/audit"} {
		br.get(path).want(t, http.StatusForbidden)
	}
	br.post("/tokens", url.Values{"name": {"x"}, "scope": {"admin"}}).want(t, http.StatusForbidden)
	all, err := b.db.Tokens(t.Context())
	if err != nil || slices.ContainsFunc(all, func(x store.Token) bool { return x.Name == "x" }) {
		t.Errorf("a reader made a token: %v, %v", all, err)
	}
}
