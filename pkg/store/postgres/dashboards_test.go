package postgres_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// What Grafana fills in, as it does for PostgreSQL.
var timeFilter = regexp.MustCompile(`\$__timeFilter\(([a-z_]+)\)`)

func TestTheDashboardsSQLRunsAsTheRoleThatMayReadTheViewsAlone(t *testing.T) {
	conn := reader(t)
	files, err := filepath.Glob("../../../deployments/observability/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	ran := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ RawSQL string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatal(err)
		}
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				if target.RawSQL == "" {
					continue
				}
				query := timeFilter.ReplaceAllString(target.RawSQL, "$1 between '2026-01-01T00:00:00Z' and '2026-01-02T00:00:00Z'")
				if _, err := conn.Exec(ctx, query); err != nil {
					t.Errorf("%s, %s: %v", filepath.Base(file), panel.Title, err)
				}
				ran++
			}
		}
	}
	if ran < 5 {
		t.Errorf("%d queries were found", ran)
	}
}
