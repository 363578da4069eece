package chart_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/services/admin/internal/chart"
)

var update = flag.Bool("update", false, "write the drawings of testdata anew")

const evil = `"><script>alert(1)</script><b style='x'>&{{.}}`

func count(v float64) string { return fmt.Sprintf("%g ms", v) }

// samples are one chart of each kind, with what is hard about it: nothing, gaps,
// tiny next to huge, others' words.
func samples() map[string]chart.Chart {
	stack := chart.Stack{ID: "outcomes", Title: "Outcomes", Summary: "Of 1,004 attempts 1,003 were delivered.", What: "hour", Series: []chart.Series{
		{"delivered", chart.Look{Class: "ok"}}, {"failed", chart.Look{Class: "bad", Pattern: chart.Hatched}}, {"not sent", chart.Look{Class: "idle", Pattern: chart.Dotted}}}}
	for i, values := range [][]int64{{0, 0, 0}, {1000, 1, 0}, {3, 0, 2}, {7, 7, 7}} {
		stack.Columns = append(stack.Columns, chart.Column{Label: fmt.Sprintf("%02d:00", i), Full: fmt.Sprintf("Mar 14 %02d:00 to %02d:00", i, i+1), Raw: fmt.Sprintf("2026-03-14T%02d:00:00.000Z", i), Values: values, Missing: i == 3,
			Hrefs: []string{fmt.Sprintf("/a?result=delivered&from=%d", i), fmt.Sprintf("/a?result=failed&from=%d", i), fmt.Sprintf("/a?result=not_sent&from=%d", i)}})
	}
	lines := chart.Lines{ID: "latency", Title: "Latency", Summary: "Half took less than 40 ms.", What: "hour", Text: count, Raw: func(v float64) string { return fmt.Sprint(v) }, Series: []chart.Series{
		{"p50", chart.Look{Class: "p50"}}, {"p95", chart.Look{Class: "p95"}}, {"p99", chart.Look{Class: "p99"}}}}
	for i, values := range [][]float64{{40, 80, 90}, nil, {42, 900, 14000}, {41, 85, 95}} {
		lines.Points = append(lines.Points, chart.Point{Label: fmt.Sprint(i), Full: fmt.Sprintf("hour %d", i), Raw: fmt.Sprint(i), Values: values, Gap: values == nil, Href: fmt.Sprintf("/a?from=%d&to=%d", i, i+1)})
	}
	heat := chart.Heat{ID: "health", Title: "Health", Summary: "It failed in one of 24 hours.", What: "hour", Columns: []string{"delivered", "failed"}}
	for i, s := range []chart.State{{"nothing sent", "idle", chart.None}, {"healthy", "ok", chart.Tick}, {"some failed", "wait", chart.Part}, {"failing", "bad", chart.Cross}, {"left alone", "alone", chart.Pause}} {
		heat.Cells = append(heat.Cells, chart.HeatCell{Label: fmt.Sprint(i), Full: fmt.Sprintf("hour %d", i), Raw: fmt.Sprint(i), State: s, Figures: []string{"3", "1"}, Href: fmt.Sprintf("/h?from=%d&x=1", i)})
	}
	return map[string]chart.Chart{
		"stack": stack.Draw(), "lines": lines.Draw(), "heat": heat.Draw(),
		"bars": chart.Bars{ID: "codes", Title: "HTTP status", Summary: "Two kinds.", What: "HTTP status", Unit: "attempts", Bars: []chart.Bar{
			{"200", "OK", "/a?status=200&x=1", 99999, chart.Look{Class: "ok"}}, {"503", "", "/a?status=503", 1, chart.Look{Class: "bad", Pattern: chart.Hatched}}, {evil, evil, "/a?q=" + evil, 5, chart.Look{Class: "bad", Pattern: chart.Hatched}}}}.Draw(),
		"empty": chart.Stack{ID: "empty", Title: evil, Summary: evil, What: "hour"}.Draw(),
	}
}

func TestDrawingsAreThoseOfTestdata(t *testing.T) {
	all := samples()
	spark := chart.Spark("Last 24 hours of "+evil, "12 delivered and 3 failed.", [][2]int64{{0, 0}, {12, 0}, {0, 3}, {5, 1}, {100000, 1}})
	all["spark"] = chart.Chart{SVG: spark}
	for name, c := range all {
		path := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(path, []byte(c.SVG+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(c.SVG)+"\n" != string(want) {
			t.Errorf("%s is drawn as\n%s\nwant\n%s", name, c.SVG, want)
		}
	}
}

var links = regexp.MustCompile(`<a href="([^"]*)"`)

func TestEveryDrawingCanBeReadWithoutSeeingIt(t *testing.T) {
	for name, c := range samples() {
		svg := string(c.SVG)
		wellFormed(t, svg)
		for _, k := range c.Legend {
			wellFormed(t, string(k.Swatch))
		}
		for _, text := range []string{`role="group"`, `aria-labelledby="` + c.ID + `-title ` + c.ID + `-desc"`, `<title id="` + c.ID + `-title">`, `<desc id="` + c.ID + `-desc">`} {
			if !strings.Contains(svg, text) {
				t.Errorf("%s lacks %s", name, text)
			}
		}
		// Each link of the drawing is in the table, where a keyboard reaches it.
		inTable := map[string]bool{}
		for _, row := range c.Table.Rows {
			if len(row) != len(c.Table.Head) {
				t.Errorf("%s has a row of %d cells under %d heads", name, len(row), len(c.Table.Head))
			}
			for _, cell := range row {
				inTable[cell.Href] = true
			}
		}
		found := links.FindAllStringSubmatch(svg, -1)
		for _, l := range found {
			if href := strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'").Replace(l[1]); !inTable[href] {
				t.Errorf("%s leads to %s, and its table does not", name, href)
			}
		}
		if len(found) == 0 && name != "empty" {
			t.Errorf("%s leads nowhere", name)
		}
		if strings.Count(svg, `tabindex="-1"`) != len(found) {
			t.Errorf("a keyboard stops at every mark of %s", name)
		}
	}
}

func TestATableForProgramsHasRawFigures(t *testing.T) {
	lines := samples()["lines"].Table.Lines()
	if got := fmt.Sprint(lines[:3]); got != "[[hour p50 p95 p99] [0 40 80 90] [1   ]]" {
		t.Errorf("the lines are %s", got)
	}
	if got := fmt.Sprint(samples()["stack"].Table.Lines()[4]); got != "[2026-03-14T03:00:00.000Z not counted not counted not counted]" {
		t.Errorf("what is missing is %s", got)
	}
}

func TestCountsAreShortAndRoundUpward(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 5: "5", 2.5: "2.5", 9999: "9999", 12345: "12.3 k", 2e6: "2 M", 1234567: "1.2 M"} {
		if got := chart.Count(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
}

// wellFormed also fails on what the content security policy refuses.
func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "script" || e.Name.Local == "style" {
			t.Errorf("there is a %s in %s", e.Name.Local, svg)
		}
		for _, a := range e.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("a %s has %s: %s", e.Name.Local, a.Name.Local, svg)
			}
		}
	}
}
