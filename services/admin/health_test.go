package admin_test

import (
	"fmt"
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
		for _, text := range []string{"as of 5 min ago: the projector is behind", "1, the oldest queued", "Oldest unsent", "nothing: senders and endpoints have room", "not known yet", "left alone", "&lt;script&gt;busy", "/webhooks/" + id} {
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

func TestHealthComparesTheLastHourWithLastWeek(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		batch := &store.Batch{}
		came := func(source string, n int, at time.Time) {
			for i := range n {
				id := fmt.Sprintf("evt_%s_%d_%d", source, at.Unix(), i)
				batch.Events = append(batch.Events, &aftercallv1.Event{EventId: id, CallId: id, OccurredAt: timestamppb.New(at), RoutedAt: timestamppb.New(at), Position: &aftercallv1.Position{Topic: source, Offset: at.Unix() + int64(i)}})
			}
		}
		now, week := time.Now(), 7*24*time.Hour
		came(topic.CDRQueue, 30, now.Add(-week-20*time.Minute))
		came(topic.CDRQueue, 31, now.Add(-10*time.Minute))
		came(topic.CDRIvr, 25, now.Add(-week-20*time.Minute))
		came(topic.CDRAgent, 3, now.Add(-week-2*time.Hour))
		if _, err := b.db.Project(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		page := b.signIn().get("/health").want(t, http.StatusOK)
		for _, text := range []string{"as usual", "silent", ">25<", ">31<", "everything has come to its end"} {
			if !strings.Contains(page.body, text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		var report struct {
			Sources []struct {
				Topic    string
				LastHour int64  `json:"last_hour"`
				LastWeek *int64 `json:"same_hour_last_week"`
			}
		}
		b.api("GET", "/health-report", "").want(t, http.StatusOK).into(t, &report)
		for _, s := range report.Sources {
			if s.LastWeek == nil || s.Topic == topic.CDRQueue && (*s.LastWeek != 30 || s.LastHour != 31) {
				t.Errorf("of a source it says %+v", s)
			}
		}
	})
}
