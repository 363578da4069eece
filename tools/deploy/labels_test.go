package deploy

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	labelled = regexp.MustCompile(`(?s)New([A-Za-z]+)Vec\(prometheus\.[A-Za-z]+Opts\{\s*Name:\s+"(aftercall_[a-z_]+)".*?\[\]string\{([^}]*)\}`)
	quoted   = regexp.MustCompile(`"([a-z_]+)"`)
	selector = regexp.MustCompile(`(aftercall_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby\s*\(([^)]*)\)`)
	words    = regexp.MustCompile(`^[a-z_]+(\|[a-z_]+)*$`)
)

// series are what sources say of labels: those of each metric, and every quoted
// word, which a label's value must be one of.
type series struct {
	labels map[string][]string
	words  map[string]bool
}

func declaredSeries(t *testing.T) series {
	t.Helper()
	s := series{map[string][]string{}, map[string]bool{}}
	for _, top := range []string{"services", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range labelled.FindAllStringSubmatch(string(text), -1) {
				var names []string
				for _, l := range quoted.FindAllStringSubmatch(m[3], -1) {
					names = append(names, l[1])
				}
				s.labels[m[2]] = names
				for _, more := range []string{"_bucket", "_count", "_sum"} {
					s.labels[m[2]+more] = names
				}
			}
			for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
				s.words[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(s.labels) < 10 {
		t.Fatalf("labels of %d metrics were found in the sources", len(s.labels))
	}
	return s
}

// everywhere are labels that Prometheus or a histogram adds.
var everywhere = []string{"job", "instance", "le"}

// strangers are the labels and values of an expression that no series has: such an
// expression selects nothing, and is silent for ever.
func (s series) strangers(expr string) (out []string) {
	for _, sel := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(sel[2], -1) {
			if slices.Contains(everywhere, m[1]) {
				continue
			}
			if !slices.Contains(s.labels[sel[1]], m[1]) {
				out = append(out, sel[1]+"{"+m[1]+"}")
			}
			if !words.MatchString(m[2]) {
				continue
			}
			for value := range strings.SplitSeq(m[2], "|") {
				if !s.words[value] {
					out = append(out, sel[1]+"{"+m[1]+"="+value+"}")
				}
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			l = strings.TrimSpace(l)
			if slices.Contains(everywhere, l) || slices.ContainsFunc(names(expr), func(n string) bool { return slices.Contains(s.labels[n], l) }) {
				continue
			}
			out = append(out, "by ("+l+")")
		}
	}
	return out
}

func TestALabelThatNoMetricHasIsFound(t *testing.T) {
	s := declaredSeries(t)
	for expr, want := range map[string]string{
		`sum(rate(aftercall_sender_ended_total{state="given_up"}[5m]))`:                                    "",
		`sum(rate(aftercall_sender_attempts_total{result=~"delivered|failed"}[5m]))`:                       "",
		`sum(rate(aftercall_sender_ended_total{outcome="given_up"}[5m]))`:                                  "aftercall_sender_ended_total{outcome}",
		`sum(rate(aftercall_sender_ended_total{state="gave_up_on"}[5m]))`:                                  "aftercall_sender_ended_total{state=gave_up_on}",
		`sum by (groups) (aftercall_group_lag_records)`:                                                    "by (groups)",
		`histogram_quantile(.9, sum by (le) (rate(aftercall_sender_attempt_duration_seconds_bucket[5m])))`: "",
	} {
		if got := strings.Join(s.strangers(expr), " "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

func TestRulesAndDashboardsSelectByLabelsAndValuesThatSeriesHave(t *testing.T) {
	s, looked := declaredSeries(t), 0
	look := func(where, expr string) {
		looked++
		for _, what := range s.strangers(expr) {
			t.Errorf("%s reads %s, which no series has", where, what)
		}
	}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			look(r.Alert+r.Record, r.Expr)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, observability, "grafana/dashboards/*.json"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				look(filepath.Base(file)+", "+p.Title, target.Expr)
			}
		}
	}
	if looked < 35 {
		t.Errorf("%d expressions were looked at", looked)
	}
}
