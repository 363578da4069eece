package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// tried projects attempts at a webhook: 30 that succeed, 3 that fail, a time-out an
// hour before, a test that fails, and an endpoint that is left alone.
func (b *bundle) tried(id string, now time.Time) {
	b.t.Helper()
	batch := &store.Batch{Changes: []*aftercallv1.EndpointChange{{ChangeId: "chg_" + id, SubscriptionId: id, Kind: aftercallv1.EndpointChange_KIND_BREAKER_OPENED,
		Reason: "<b>5 in a row</b>", At: timestamppb.New(now.Add(-time.Minute)), Until: timestamppb.New(now.Add(150 * time.Second))}}}
	add := func(key string, at time.Time, change func(*aftercallv1.Attempt)) {
		a := &aftercallv1.Attempt{AttemptId: "att_" + id + key, DeliveryId: "dlv_" + id + key, EventId: "evt_" + key, SubscriptionId: id, EventType: "App.QueueWebhook", Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
			Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.New(at), FirstQueuedAt: timestamppb.New(at), Timings: &aftercallv1.Timings{Total: durationpb.New(40 * time.Millisecond)},
			Result: aftercallv1.Attempt_RESULT_DELIVERED, HttpStatus: 200, State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED}
		change(a)
		batch.Attempts = append(batch.Attempts, &store.AttemptAt{Attempt: a, Record: &aftercallv1.Position{Topic: "aftercall.history", Offset: int64(len(batch.Attempts))}, StoredAt: at})
	}
	failed := func(a *aftercallv1.Attempt) {
		a.Result, a.HttpStatus, a.ErrorClass, a.State = aftercallv1.Attempt_RESULT_FAILED, 503, aftercallv1.Attempt_ERROR_CLASS_STATUS, aftercallv1.DeliveryState_DELIVERY_STATE_WAITING
		a.NextAttemptAt = timestamppb.New(now.Add(5 * time.Minute))
	}
	for i := range 30 {
		add(fmt.Sprint("ok", i), now.Add(-90*time.Minute), func(*aftercallv1.Attempt) {})
	}
	for i := range 3 {
		add(fmt.Sprint("no", i), now.Add(-10*time.Second), failed)
	}
	add("slow", now.Add(-3*time.Hour), func(a *aftercallv1.Attempt) {
		failed(a)
		a.HttpStatus, a.ErrorClass = 0, aftercallv1.Attempt_ERROR_CLASS_TIMEOUT
	})
	add("test", now.Add(-10*time.Second), func(a *aftercallv1.Attempt) {
		failed(a)
		a.Cause, a.State = aftercallv1.Cause_CAUSE_TEST, aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP
	})
	if _, err := b.db.Project(b.t.Context(), batch); err != nil {
		b.t.Fatal(err)
	}
}

var dataRow = regexp.MustCompile(`href="(/webhooks/[^"]*/attempts\?[^"]*)">(\d+)<`)

func TestAWebhooksOverviewSaysHowItGoesAndLeadsToItsAttempts(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		b.tried(id, time.Now().UTC())
		br := b.signIn()
		page := br.get("/webhooks/"+id).want(t, http.StatusOK)
		checkPage(t, "overview", page)
		for _, text := range []string{"30 of 34 attempts succeeded, 4 failed", "88.2 %", "left alone", "&lt;b&gt;5 in a row", "Next probe", ">3 h ago<", "200 came 30 times, 503 came 3 times", "status 3 times, time-out 1 time",
			`aria-current="page">Overview<`, ">Settings<", ">Test<", "Show data", "half of the requests took up to"} {
			if !strings.Contains(page.body, text) {
				t.Errorf("the page does not say %q", text)
			}
		}
		// Behind each figure is a list of as many attempts.
		figures := dataRow.FindAllStringSubmatch(page.body, -1)
		if len(figures) < 3 {
			t.Fatalf("%d figures lead to attempts: %s", len(figures), page.body)
		}
		for _, f := range figures {
			list := br.get(html.UnescapeString(f[1])).want(t, http.StatusOK)
			if n := strings.Count(list.body, "/resend\""); fmt.Sprint(n) != f[2] {
				t.Errorf("%s is said to be %s attempts, and its list has %d", f[1], f[2], n)
			}
		}
		for _, r := range []string{"1h", "7d"} {
			if page := br.get("/webhooks/"+id+"?range="+r).want(t, http.StatusOK); !strings.Contains(page.body, `?range=`+r+`" aria-current="true"`) {
				t.Errorf("the range %s is not marked", r)
			}
		}
		if page := br.get("/webhooks/"+id+"?range=2h").want(t, http.StatusBadRequest); !strings.Contains(page.body, "one of 1h, 24h, 7d") {
			t.Error("a range that there is not is not explained")
		}
		br.get("/webhooks/none").want(t, http.StatusNotFound)
		tests := br.get("/webhooks/"+id+"/test").want(t, http.StatusOK)
		checkPage(t, "tests", tests)
		if strings.Count(tests.body, `href="/attempts/`) != 1 || !strings.Contains(tests.body, `aria-current="page">Test<`) {
			t.Errorf("the tests are %s", tests.body)
		}
	})
}

func TestEveryChartIsATableForSpreadsheets(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	id, _ := b.subscribe(plainWebhook)
	b.tried(id, time.Now().UTC())
	br := b.signIn()
	for name, want := range map[string]string{"outcomes": "time,delivered,failed,\"not sent\"\r\n", "latency": "time,p50,p95,p99\r\n", "codes": "\"HTTP status\",attempts\r\n200,30\r\n503,3\r\n", "errors": "class,attempts\r\nstatus,3\r\ntime-out,1\r\n", "health": "hour,state,delivered,failed\r\n"} {
		a := br.get("/webhooks/"+id+"/charts/"+name+".csv?range=24h").want(t, http.StatusOK)
		if !strings.HasPrefix(a.body, want) || a.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.Contains(a.header.Get("Content-Disposition"), "aftercall-"+name+"-24h.csv") {
			t.Errorf("%s.csv is %v %s", name, a.header, a.body)
		}
		if n := strings.Count(a.body, "\r\n"); (name == "outcomes" || name == "latency" || name == "health") && n != 25 {
			t.Errorf("%s.csv has %d lines", name, n)
		}
	}
	for _, path := range []string{"/charts/none.csv", "/charts/outcomes", "/charts/" + url.PathEscape("../x.csv")} {
		br.get("/webhooks/"+id+path).want(t, http.StatusNotFound)
	}
	br.get("/webhooks/"+id+"/charts/outcomes.csv?range=x").want(t, http.StatusBadRequest)
}

func TestTheAPISaysWhatTheChartsShow(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(plainWebhook)
		other, _ := b.subscribe(strings.Replace(plainWebhook, `"name":"`, `"name":"Other `, 1))
		b.tried(id, time.Now().UTC())
		var all struct {
			Subscriptions []struct {
				ID                          string `json:"subscription_id"`
				Attempts, Delivered, Failed int64
			}
			Charts any
		}
		b.api("GET", "/stats", "").want(t, http.StatusOK).into(t, &all)
		if len(all.Subscriptions) != 2 || all.Charts != nil {
			t.Errorf("of all it says %+v", all)
		}
		for _, s := range all.Subscriptions {
			if s.ID == id && (s.Attempts != 34 || s.Failed != 4) || s.ID == other && s.Attempts != 0 {
				t.Errorf("of one it says %+v", s)
			}
		}
		for name, buckets := range map[string]int{"1h": 30, "24h": 24, "7d": 28} {
			var one struct {
				Subscriptions []struct{ Attempts int64 }
				Charts        struct {
					Range   string
					Step    float64 `json:"step_s"`
					Total   struct{ Delivered, Failed int64 }
					Buckets []struct{ Delivered, Failed int64 }
					Codes   []struct {
						Status   int `json:"http_status"`
						Attempts int64
					}
					Errors  []struct{ Attempts int64 }
					Hours   []struct{ Failed int64 }
					Waiting struct{ Deliveries int64 }
					Breaker struct {
						Reason string
						Next   time.Time `json:"next_probe_at"`
					}
				}
			}
			b.api("GET", "/stats?subscription="+id+"&range="+name, "").want(t, http.StatusOK).into(t, &one)
			c := one.Charts
			if len(one.Subscriptions) != 1 || c.Range != name || len(c.Buckets) != buckets || len(c.Hours) != 24 || c.Waiting.Deliveries != 4 || c.Breaker.Reason != "<b>5 in a row</b>" || c.Breaker.Next.Before(time.Now()) {
				t.Errorf("of %s it says %+v", name, one)
			}
			if name != "1h" && (c.Total.Delivered != 30 || c.Total.Failed != 4 || len(c.Codes) != 2 || c.Codes[0].Status != 200 || len(c.Errors) != 2) {
				t.Errorf("the total of %s is %+v", name, c)
			}
		}
		b.api("GET", "/stats?subscription=none", "").wantProblem(t, http.StatusNotFound, "not_found", "")
		b.api("GET", "/stats?range=2h", "").want(t, http.StatusUnprocessableEntity)
	})
}
