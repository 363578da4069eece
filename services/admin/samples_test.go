package admin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin"
)

func TestASampleIsAddedOnceAndStaysDeleted(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	ctx := context.Background()
	sample := admin.Sample{Name: "Sample", Endpoint: "http://127.0.0.1:8422/ok", Events: []string{"App.QueueWebhook"}, SigningSecret: "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
	id, err := admin.EnsureSubscription(ctx, b.deps, sample)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := admin.EnsureSubscription(ctx, b.deps, sample); err != nil || again != id {
		t.Errorf("asked again it is %s, %v", again, err)
	}
	// Nobody published it; the publisher finds it by itself.
	kafkatest.WaitFor(t, "the sample to be published", func() bool { return b.last(id) != nil })
	b.api("DELETE", "/subscriptions/"+id, "", "If-Match", "*").want(t, http.StatusNoContent)
	if _, err := admin.EnsureSubscription(ctx, b.deps, sample); err != nil {
		t.Fatal(err)
	}
	if list := b.api("GET", "/subscriptions", "").want(t, http.StatusOK); strings.Contains(list.body, id) || strings.Contains(list.body, "Sample") {
		t.Errorf("a deleted sample came back: %s", list.body)
	}
}

func TestATokenOfTheSameNameReplacesTheOldOne(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	next := admin.NewToken()
	for range 2 {
		if err := admin.EnsureToken(context.Background(), b.db, next, "admin", admin.Scopes()); err != nil {
			t.Fatal(err)
		}
	}
	b.api("GET", "/subscriptions", "").wantProblem(t, http.StatusUnauthorized, "unauthorized", "")
	b.api("GET", "/subscriptions", "", "Authorization", "Bearer "+next).want(t, http.StatusOK)
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	kafkatest.WaitFor(t, "readiness", func() bool {
		resp, err := http.Get(b.server.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == http.StatusOK && strings.Contains(string(text), "admin.kafka") && strings.Contains(string(text), "admin.store")
	})
}

func TestPlainHTTPElsewhereThanLoopbackGetsNoSession(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	link, err := admin.NewLoginLink(context.Background(), b.db)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, host string) (*http.Response, string) {
		t.Helper()
		req, _ := http.NewRequest(method, b.server.URL+"/login?t="+link, nil)
		req.Host = host
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp, string(text)
	}
	if resp, text := ask("GET", "aftercall.example"); resp.StatusCode != http.StatusForbidden || !strings.Contains(text, "AFTERCALL_PUBLIC_URL") || len(resp.Cookies()) != 0 {
		t.Errorf("plain http answers %d", resp.StatusCode)
	}
	// A look at the link's headers does not use it up.
	ask("HEAD", "localhost")
	resp, _ := ask("GET", "localhost")
	if resp.StatusCode != http.StatusSeeOther || len(resp.Cookies()) != 1 {
		t.Fatalf("the link answers %d", resp.StatusCode)
	}
	if c := resp.Cookies()[0]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Name != "aftercall_session" {
		t.Errorf("the cookie is %v", c)
	}
}
