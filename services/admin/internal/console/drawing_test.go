package console

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
)

func TestASparklineSaysInWordsWhatItDraws(t *testing.T) {
	var hours [24]store.HourStats
	hours[22] = store.HourStats{Delivered: 9, Failed: 1}
	hours[23] = store.HourStats{Delivered: 4}
	svg := string(sparkline(`<b>&"name"`, hours))
	wellFormed(t, svg)
	for _, text := range []string{"<title>Last 24 hours of &lt;b&gt;&amp;", "13 delivered and 1 failed", `class="ok" x="121" y="4.6" width="4.5" height="23.4"`, `class="bad" d="M121 2h1.7v2.6`, `class="ok" x="126.5" y="17.6"`} {
		if !strings.Contains(svg, text) {
			t.Errorf("%q is not in %s", text, svg)
		}
	}
	if n := strings.Count(svg, "<rect") + strings.Count(svg, "<path"); n != 25 {
		t.Errorf("it has %d bars: one an hour, two where there are both", n)
	}
}

func TestAWaterfallStaysWithinItsWidth(t *testing.T) {
	// Phases that together are longer than the whole: clocks and overlaps.
	svg, phases := waterfall(store.Timings{DNS: 900, Connect: 900, TLS: 900, FirstByte: 900, Total: 1000})
	wellFormed(t, string(svg))
	if strings.Contains(string(svg), `width="-`) || len(phases) != 5 {
		t.Errorf("%v, %s", phases, svg)
	}
	if svg, phases := waterfall(store.Timings{}); svg != "" || phases != nil {
		t.Error("no request has no timings")
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

func TestNoFailureIsRoundedAway(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "–"}, {10, 10, "100 %"}, {99999, 100000, "99.9 %"}, {1, 3, "33.3 %"}, {0, 5, "0.0 %"}} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

func TestALinkBackNeverLeavesTheHost(t *testing.T) {
	for _, path := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "", "webhooks", "/a\r\nb"} {
		if got := local(path); got != "/webhooks" {
			t.Errorf("%q leads to %q", path, got)
		}
	}
	if got := local("/attempts?result=failed"); got != "/attempts?result=failed" {
		t.Errorf("a page of ours leads to %q", got)
	}
}
