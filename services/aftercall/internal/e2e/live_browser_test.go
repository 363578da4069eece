package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// attemptsOf are records as a sender writes them, of calls named by a prefix.
func attemptsOf(prefix string, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		id := uuid.Must(uuid.NewV7()).String()
		records[i] = record.New(topic.History, "dlv_"+id, &aftercallv1.Attempt{
			AttemptId: id, DeliveryId: "dlv_" + id, EventId: "evt_" + id, SubscriptionId: "sub_live", Tenant: "default", EventType: "App.QueueWebhook", CallId: fmt.Sprintf("%s-%d", prefix, i),
			Cause: aftercallv1.Cause_CAUSE_CALL_ENDED, Attempt: 1, AttemptsAllowed: 13, StartedAt: timestamppb.Now(), HttpStatus: 200, Result: aftercallv1.Attempt_RESULT_DELIVERED,
			State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED,
		}, time.Now())
	}
	return records
}

func (b *tab) number(script string) (n int) {
	b.t.Helper()
	b.do(chromedp.Evaluate(script, &n))
	return n
}

func (b *tab) text(script string) (text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(script, &text))
	return text
}

const (
	rows  = `document.querySelectorAll("#attempts tbody tr").length`
	nodes = `document.querySelectorAll("*").length`
	pill  = `(p => p.checkVisibility() ? p.textContent : "")(document.querySelector("[data-live-pill]"))`
)

func rowsOf(prefix string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#attempts tbody tr")].filter(r => r.textContent.includes(%q)).length`, prefix+"-")
}

func TestTheLiveListGrowsByItselfHoldsStillWhereSomebodyReadsAndStaysSmall(t *testing.T) {
	b, console, k := devWithBrowser(t)
	b.do(chromedp.Navigate(console+"/attempts"), chromedp.Evaluate(`document.body.dataset.same = "1"`, nil))
	streaming := func() bool {
		return b.text(`String(document.getElementById("attempts").hasAttribute("data-streamed"))`) == "true"
	}
	wait(t, "the stream", streaming)

	// From an empty list to one with rows, then more at its top.
	kafkatest.Produce(t, k, attemptsOf("first", 3)...)
	wait(t, "the first rows", func() bool { return b.number(rowsOf("first")) == 3 })
	kafkatest.Produce(t, k, attemptsOf("second", 4)...)
	wait(t, "four more", func() bool { return b.number(rowsOf("second")) == 4 })
	if top := b.text(`document.querySelector("#attempts tbody tr").textContent`); !strings.Contains(top, "second-") {
		t.Errorf("at the top stands %s", top)
	}

	// Somebody is on a row: it stays where it is, and what is new is counted.
	const focused = `document.querySelector("#attempts tbody tr:nth-child(3) td a")`
	b.do(chromedp.Evaluate(focused+`.focus()`, nil))
	kafkatest.Produce(t, k, attemptsOf("third", 5)...)
	wait(t, "the button that counts", func() bool { return b.text(pill) == "5 new attempts" })
	if b.number(rowsOf("third")) != 0 || b.text(`String(`+focused+` === document.activeElement)`) != "true" {
		t.Error("rows moved under the focus")
	}
	b.accessible("the live list")
	b.do(chromedp.Click("[data-live-pill]", chromedp.ByQuery))
	wait(t, "the rows that waited", func() bool { return b.number(rowsOf("third")) == 5 && b.text(pill) == "" })

	// Selected rows hold it as well; switched off, nothing comes.
	b.do(chromedp.Evaluate(`document.querySelector("#attempts tbody tr input[type=checkbox]").click()`, nil))
	kafkatest.Produce(t, k, attemptsOf("fourth", 2)...)
	wait(t, "the count beside a selection", func() bool { return b.text(pill) == "2 new attempts" })
	b.do(chromedp.Evaluate(`document.querySelector("#attempts tbody tr input[type=checkbox]").click()`, nil), chromedp.Evaluate(`document.activeElement.blur()`, nil))
	wait(t, "the rows once nothing is selected", func() bool { return b.number(rowsOf("fourth")) == 2 })
	b.do(chromedp.Evaluate(`document.querySelector("[data-live-toggle]").click()`, nil))
	kafkatest.Produce(t, k, attemptsOf("fifth", 2)...)
	b.sees("Paused")
	if b.number(rowsOf("fifth")) != 0 {
		t.Error("switched off, it goes on")
	}
	b.do(chromedp.Evaluate(`document.querySelector("[data-live-toggle]").click()`, nil))
	wait(t, "what came while it was off", func() bool { return b.number(rowsOf("fifth")) == 2 && streaming() })

	// 500 a second: the page stays small, and answers.
	before := b.number(nodes)
	perRow := b.number(`document.querySelector("#attempts tbody tr").querySelectorAll("*").length`) + 1
	made := make(chan struct{})
	client := kafkatest.Client(t, k, k.Producer()...)
	go func() {
		defer close(made)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := range 20 {
			<-tick.C
			if err := client.ProduceSync(t.Context(), attemptsOf(fmt.Sprintf("flood%d", i), 50)...).FirstErr(); err != nil {
				t.Errorf("producing: %v", err)
				return
			}
		}
	}()
	asked, most := 0, 0
	for flooding := true; flooding || asked < 5; {
		select {
		case <-made:
			flooding = false
		default:
		}
		most = max(most, b.number(nodes))
		if n := b.number(rows); n > 200 {
			t.Fatalf("%d rows", n)
		}
		asked++
	}
	if limit := before + 200*perRow + 50; most > limit {
		t.Errorf("asked %d times, the page had up to %d elements, of at most %d", asked, most, limit)
	}
	wait(t, "a word on what is not shown", func() bool {
		return strings.Contains(b.text(`document.querySelector("[data-live-left]").textContent`), "not shown here")
	})
	wait(t, "the newest rows", func() bool { return b.number(rowsOf("flood19")) > 0 })
	if b.text(`document.body.dataset.same`) != "1" {
		t.Error("the page was loaded again")
	}

	// The page of a test fills by the stream.
	b.do(chromedp.Navigate(console + "/webhooks"))
	b.press("Send Test Webhook")
	b.reads("Send another")
	b.do(chromedp.Navigate(console + says[string](b, sentTest)))
	b.sees("delivered")
	first := says[string](b, `location.pathname`)
	b.press("Send another")
	wait(t, "the page of the next test", func() bool {
		path := b.now(`location.pathname`)
		return strings.HasPrefix(path, "/tests/") && path != first
	})
}
