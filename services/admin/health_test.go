package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

func TestHealthSaysTheSameOnThePageAndInTheAPI(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		page := b.signIn().get("/health").want(t, http.StatusOK)
		for _, text := range []string{"nothing projected yet", "aftercall.cdr.queue", "none in 24 h", "not known", "No endpoint is left alone", `href="/health" aria-current="page"`} {
			if !strings.Contains(page.body, text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		var report struct {
			Version string
			Sources []struct {
				Topic    string
				LastHour int64 `json:"last_hour"`
			}
			Groups []struct {
				Group string
				Lag   *int64
			}
			ViewAge *float64 `json:"view_age_s"`
		}
		b.api("GET", "/health-report", "").want(t, http.StatusOK).into(t, &report)
		if len(report.Sources) != 6 || len(report.Groups) != 3 || report.Groups[0].Lag != nil || report.ViewAge != nil || report.Version == "" {
			t.Errorf("the API answers %+v", report)
		}
	})
}

func TestHealthCountsWhatCameAndSaysHowStaleItIs(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		b.happened(id, "c-1", `{"CallId":"c-1"}`)
		b.unsent("c-2")
		now := time.Now()
		if _, err := b.db.Project(t.Context(), &store.Batch{
			Changes: []*aftercallv1.EndpointChange{{ChangeId: "ch-1", SubscriptionId: id, SubscriptionVersion: 1, Kind: aftercallv1.EndpointChange_KIND_BREAKER_OPENED,
				Reason: "<script>busy</script>", At: timestamppb.New(now)}},
			Offsets: []store.Offset{{Topic: topic.History, To: 5, Until: now.Add(-5 * time.Minute)}},
		}); err != nil {
			t.Fatal(err)
		}
		page := b.signIn().get("/health").want(t, http.StatusOK)
		checkPage(t, "/health", page)
		for _, text := range []string{"as of 5 min ago: the projector is behind", "1, the oldest queued", "left alone", "&lt;script&gt;busy", "/webhooks/" + id} {
			if !strings.Contains(page.body, text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		var report struct {
			Sources []struct {
				Topic    string
				Last     time.Time `json:"last_at"`
				LastHour int64     `json:"last_hour"`
			}
			Waiting  int64
			Breakers []struct {
				SubscriptionID string `json:"subscription_id"`
			}
			ViewAge float64 `json:"view_age_s"`
		}
		b.api("GET", "/health-report", "").want(t, http.StatusOK).into(t, &report)
		if report.Waiting != 1 || report.ViewAge < 300 || len(report.Breakers) != 1 || report.Breakers[0].SubscriptionID != id {
			t.Errorf("the API answers %+v", report)
		}
		for _, s := range report.Sources {
			if is := s.Topic == topic.CDRQueue; is != (s.LastHour == 2) || is == s.Last.IsZero() {
				t.Errorf("of a source it says %+v", s)
			}
		}
	})
}
