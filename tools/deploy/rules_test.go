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

	"sigs.k8s.io/yaml"
)

const observability = "deployments/observability"

// foreign are metrics of others that the rules may rest on: Prometheus' own and
// node_exporter's.
var foreign = []string{
	"up", "ALERTS", "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "node_timex_offset_seconds", "node_timex_sync_status",
	// client_golang's own, which every service registers.
	"process_cpu_seconds_total", "process_resident_memory_bytes", "go_goroutines",
}

var declared = regexp.MustCompile(`(New[A-Za-z]+)\(prometheus\.[A-Za-z]+Opts\{\s*Name:\s+"(aftercall_[a-z_]+)"`)

// exported are the names of the series that services export, of their sources.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, top := range []string{"services", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				if strings.HasPrefix(m[1], "NewHistogram") {
					out[m[2]+"_bucket"], out[m[2]+"_count"], out[m[2]+"_sum"] = true, true, true
					continue
				}
				out[m[2]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 30 {
		t.Fatalf("%d metrics were found in the sources", len(out))
	}
	for _, name := range foreign {
		out[name] = true
	}
	return out
}

var (
	// aside is what of an expression names no metric: labels and their values,
	// ranges, groupings, functions, operators, numbers.
	aside      = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|(?:\b(?:sum|max|min|avg|count)\s+)?\b(?:by|without|on|ignoring)\s*\([^)]*\)|[a-z_]+\s*\(|\b(?:and|or|unless|bool)\b|\b[0-9.]+`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
)

// names are the metrics that an expression reads; promtool judges its syntax.
func names(expr string) []string {
	// Values first: they may hold braces.
	expr = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, "")
	return identifier.FindAllString(aside.ReplaceAllString(expr, " "), -1)
}

func TestNamesAreTheMetricsOfAnExpression(t *testing.T) {
	got := names(`max by (group) (rate(a_total{b="c{}"}[5m])) / (sum(d:e:ratio1h) > 0.5) and absent(f)`)
	if !slices.Equal(got, []string{"a_total", "d:e:ratio1h", "f"}) {
		t.Errorf("%q", got)
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Record, Alert, Expr, For string
			Labels, Annotations      map[string]string
		}
	}
}

func rules(t *testing.T) (f ruleFile) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(read(t, observability+"/prometheus/aftercall.rules.yml")), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func recorded(t *testing.T) map[string]bool {
	known := exported(t)
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				known[r.Record] = true
			}
		}
	}
	return known
}

func TestEveryAlertReadsExportedMetricsIsTestedAndLeadsToItsRunbook(t *testing.T) {
	known, operations := recorded(t), read(t, "docs/operations.md")
	tests := read(t, observability+"/prometheus/aftercall.rules.test.yml")
	alerts := 0
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			for _, name := range names(r.Expr) {
				if !known[name] {
					t.Errorf("%s%s reads %s, which nothing exports", r.Alert, r.Record, name)
				}
			}
			if r.Alert == "" {
				continue
			}
			alerts++
			if r.Annotations["runbook_url"] != "https://github.com/aftercall/aftercall/blob/main/docs/operations.md#"+strings.ToLower(r.Alert) ||
				!strings.Contains(operations, "\n### "+r.Alert+"\n") {
				t.Errorf("%s has no runbook in docs/operations.md", r.Alert)
			}
			if !strings.Contains(tests, "- name: "+r.Alert+"\n") {
				t.Errorf("%s has no promtool test", r.Alert)
			}
			if r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("%s says not what it is, or how bad", r.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("%d alerts", alerts)
	}
}

type dashboard struct {
	UID, Title string
	Panels     []struct {
		Title      string
		Datasource struct{ Type, UID string }
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct{ Expr, RawSQL string }
		// Panels of a row that is folded: nothing here looks into them.
		Panels []json.RawMessage
	}
}

var (
	relation   = regexp.MustCompile(`(?i)\b(?:from|join)\s+([a-z_.]+)`)
	viewTitles = regexp.MustCompile(`(?m)^## (v_[a-z_]+)$`)
)

func TestDashboardsReadExportedMetricsAndThePublicViewsAlone(t *testing.T) {
	known := recorded(t)
	views := map[string]bool{}
	for _, m := range viewTitles.FindAllStringSubmatch(read(t, "docs/views.md"), -1) {
		views[m[1]] = true
	}
	sources := read(t, observability+"/grafana/provisioning/datasources/aftercall.yml")
	if !strings.Contains(sources, "user: aftercall_reader") {
		t.Error("dashboards do not read as the role that may read the views alone")
	}
	for _, file := range []string{"provisioning/datasources/aftercall.yml", "provisioning/dashboards/aftercall.yml"} {
		var any map[string]any
		if err := yaml.UnmarshalStrict([]byte(read(t, observability+"/grafana/"+file)), &any); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	boards, err := filepath.Glob(filepath.Join(root, observability, "grafana/dashboards/*.json"))
	if err != nil || len(boards) < 3 {
		t.Fatal(boards, err)
	}
	for _, board := range boards {
		file := strings.TrimSuffix(filepath.Base(board), ".json")
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, observability+"/grafana/dashboards/"+file+".json")), &d); err != nil {
			t.Fatal(err)
		}
		if d.UID != "aftercall-"+file || len(d.Panels) < 4 {
			t.Errorf("%s is called %q and has %d panels", file, d.UID, len(d.Panels))
		}
		for _, p := range d.Panels {
			if !strings.Contains(sources, "uid: "+p.Datasource.UID) {
				t.Errorf("%s, %s reads the source %q, which is not provisioned", file, p.Title, p.Datasource.UID)
			}
			if len(p.Targets) == 0 || len(p.Panels) > 0 {
				t.Errorf("%s, %s shows nothing, or hides panels", file, p.Title)
			}
			for _, target := range p.Targets {
				if target.Expr != "" {
					for _, name := range names(target.Expr) {
						if !known[name] {
							t.Errorf("%s, %s reads %s, which nothing exports", file, p.Title, name)
						}
					}
					continue
				}
				found := relation.FindAllStringSubmatch(target.RawSQL, -1)
				if len(found) == 0 {
					t.Errorf("%s, %s has neither an expression nor SQL that reads", file, p.Title)
				}
				for _, m := range found {
					if !views[m[1]] {
						t.Errorf("%s, %s reads %s, which is no public view", file, p.Title, m[1])
					}
				}
			}
		}
	}
}
