package admin_test

import (
	"net/http"
	"strings"
	"testing"
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
