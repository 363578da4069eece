package admin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// searched follows a search to where it leads.
func searched(br *browser, path, text string) answer {
	return br.get(path + "?search=" + url.QueryEscape(text))
}

var chipPattern = regexp.MustCompile(`<a class="chip" href="([^"]*)"><span class="visually-hidden">Without </span><span class="break">([^<]*)</span>`)

func TestASearchSelectsAttemptsAndEveryChipLeadsOutOfIt(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		_, _, attempt := b.happened(id, "c-1", `{"CallId":"c-1"}`)
		other, _ := b.subscribe(plainWebhook)
		_, _, foreign := b.happened(other, "c-2", `{"CallId":"c-2"}`)
		br := b.signIn()
		for _, path := range []string{"/attempts", "/webhooks/" + id + "/attempts"} {
			for text, finds := range map[string]bool{
				"result:failed event:App.QueueWebhook code:5xx call:c-1 last:24h": true, "c-1": true, "attempt:1 state:waiting": true, "attempt:>0 error:status": true,
				"attempt:>1": false, "result:delivered": false, "call:c-3": false, "code:404": false,
			} {
				page := searched(br, path, text).want(t, http.StatusOK)
				if shown := strings.Contains(page.body, `data-id="`+attempt+`"`); shown != finds {
					t.Errorf("%s: %q shows the attempt: %t", path, text, shown)
				}
				if finds == strings.Contains(page.body, "No attempt matches") {
					t.Errorf("%s: %q does not say whether something matches", path, text)
				}
			}
		}
		page := searched(br, "/attempts", "result:failed attempt:1 c-1").want(t, http.StatusOK)
		checkPage(t, "search", page)
		if strings.Contains(page.body, foreign) {
			t.Error("the search shows another call's attempt")
		}
		chips := chipPattern.FindAllStringSubmatch(page.body, -1)
		if len(chips) != 3 {
			t.Fatalf("there are %d chips: %v", len(chips), chips)
		}
		for _, c := range chips {
			without := br.get(strings.ReplaceAll(c[1], "&amp;", "&")).want(t, http.StatusOK)
			if left := chipPattern.FindAllStringSubmatch(without.body, -1); len(left) != 2 || strings.Contains(without.body, `<span class="break">`+c[2]+`<`) {
				t.Errorf("without %s there are %v", c[2], left)
			}
			if shows := strings.Contains(without.body, foreign); shows != (c[2] == "call:c-1") {
				t.Errorf("without %s the other call's attempt is shown: %t", c[2], shows)
			}
		}
		// The filters that are on stay on, in what is sent again and in the file, too.
		if more := br.get("/attempts?result=failed&search=c-2").want(t, http.StatusOK); len(chipPattern.FindAllString(more.body, -1)) != 2 || !strings.Contains(more.body, foreign) || strings.Contains(more.body, attempt) {
			t.Error("a second search is not put over the first")
		}
		if file := br.get("/attempts/export?format=ndjson&attempt=%3E1").want(t, http.StatusOK); strings.Contains(file.body, attempt) {
			t.Error("the file has a first attempt among the others")
		}
		for query, finds := range map[string]bool{"min_attempt=1": true, "max_attempt=1": true, "min_attempt=2": false} {
			for _, path := range []string{"/attempts?", "/attempts/export?format=csv&"} {
				if list := b.api("GET", path+query, "").want(t, http.StatusOK); strings.Contains(list.body, attempt) != finds {
					t.Errorf("%s%s has the attempt: %t", path, query, !finds)
				}
			}
		}
		if none := br.post("/attempts/selected", url.Values{"all": {"1"}, "attempt": {">1"}}).want(t, http.StatusOK); !strings.Contains(none.body, "Nothing can be sent again") {
			t.Error("a first attempt is sent again among the others")
		}
	})
}

func TestASearchThatCannotBeReadIsShownWithTheWordsThereAre(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	br := b.signIn()
	page := searched(br, "/attempts", "colour:<b>red").want(t, http.StatusBadRequest)
	checkPage(t, "unreadable search", page)
	for _, text := range []string{"The search cannot be read", "&#34;colour:&#34; is no word of this search", "result: state: event: code:", `value="colour:&lt;b&gt;red"`, `aria-invalid="true"`} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	for _, path := range []string{"/attempts?attempt=x", "/attempts?attempt=%3E", "/attempts?attempt=-1"} {
		if page := br.get(path).want(t, http.StatusBadRequest); !strings.Contains(page.body, "The attempt cannot be read") {
			t.Errorf("%s does not say what is wrong", path)
		}
	}
	if to := br.get("/attempts?search=+").want(t, http.StatusOK); chipPattern.MatchString(to.body) {
		t.Error("an empty search filters")
	}
}
