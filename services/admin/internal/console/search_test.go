package console

import (
	"strings"
	"testing"
	"time"
)

func TestASearchBecomesFilters(t *testing.T) {
	now := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	on := attemptFilter{Result: "delivered", Cause: "test", To: "2026-03-14T09:00"}
	for text, want := range map[string]attemptFilter{
		"":                            on,
		"result:failed":               {Result: "failed", Cause: "test", To: on.To},
		"  RESULT:Not-Sent  code:5XX": {Result: "not_sent", Cause: "test", Status: "5xx", To: on.To},
		"event:App.QueueWebhook error:timeout attempt:>1 call:8f3c last:24h": {Result: "delivered", Cause: "test", EventType: "App.QueueWebhook", Error: "timeout",
			Attempt: ">1", Call: "8f3c", From: "2026-03-13T09:26"},
		"event:queue state:given_up":                {Result: "delivered", Cause: "test", EventType: "App.QueueWebhook", State: "given_up", To: on.To},
		"8f3c-12":                                   {Result: "delivered", Cause: "test", Call: "8f3c-12", To: on.To},
		"call:sip:x@y attempt:3 cause:not_test":     {Result: "delivered", Cause: "not_test", Call: "sip:x@y", Attempt: "3", To: on.To},
		"from:2026-03-14T01:00 to:2026-03-14T02:00": {Result: "delivered", Cause: "test", From: "2026-03-14T01:00", To: "2026-03-14T02:00"},
		"last:2w": {Result: "delivered", Cause: "test", From: "2026-02-28T09:26"},
	} {
		got, err := parseSearch(text, on, now)
		if err != nil || got != want {
			t.Errorf("%q becomes %+v (%v), want %+v", text, got, err, want)
		}
		if _, wrong := got.query(); wrong != nil {
			t.Errorf("%q becomes a query that cannot be read: %s", text, wrong.Detail)
		}
		// A page is its URL.
		if back := attemptFilterOf(got.values()); back != got {
			t.Errorf("%q comes back from its URL as %+v", text, back)
		}
	}
}

func TestASearchThatCannotBeReadSaysWhatCan(t *testing.T) {
	for text, says := range map[string]string{
		"colour:red":                      `"colour:" is no word of this search. The words are result:`,
		":x":                              `":" is no word`,
		"result:perhaps":                  "result: is one of delivered, failed, not_sent",
		"error:tired":                     "error: is one of status, timeout",
		"event:App.NoWebhook":             "event: is one of App.QueueWebhook",
		"code:9xx":                        "code: is a status like 503",
		"attempt:some":                    "attempt: is a number like 3, or >1",
		"attempt:":                        "attempt: is a number",
		"attempt:0":                       "attempt: is a number",
		"call:":                           "call: is followed by a CallId",
		"last:tuesday":                    "last: is a time like 30m",
		"from:now":                        "from: is a time like 2026",
		"one two":                         `"two" would be a second CallId`,
		"code:503 code:504":               "code: stands there twice",
		"last:1h to:2026-03-14T09:26":     "leave out from: and to:",
		"result:failed state:given_up x:": `"x:" is no word`,
	} {
		if _, err := parseSearch(text, attemptFilter{}, time.Now()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is answered with %v", text, err)
		}
	}
}

func TestAChipIsTheListWithoutOneFilter(t *testing.T) {
	chips := attemptFilter{Result: "failed", Attempt: ">1", Call: "a b"}.chips("/attempts")
	want := []chip{{"result", "failed", "result:failed", "/attempts?attempt=%3E1&call=a+b"}, {"attempt", ">1", "attempt:>1", "/attempts?call=a+b&result=failed"},
		{"call", "a b", "call:a b", "/attempts?attempt=%3E1&result=failed"}}
	if len(chips) != len(want) {
		t.Fatalf("there are %d chips: %v", len(chips), chips)
	}
	for i := range want {
		if chips[i] != want[i] {
			t.Errorf("chip %d is %+v, want %+v", i, chips[i], want[i])
		}
	}
	if one := (attemptFilter{Call: "x"}).chips("/attempts"); len(one) != 1 || one[0].Href != "/attempts" {
		t.Errorf("the last chip is %v", one)
	}
}
