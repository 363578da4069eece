package workspace

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Tracing must stay a nil pointer where it is off, and exchangeable.
func TestOnlyOnePackageKnowsOpenTelemetry(t *testing.T) {
	imports := regexp.MustCompile(`"go\.opentelemetry\.io/`)
	own, found := filepath.Join(root, "pkg", "telemetry")+string(filepath.Separator), 0
	for _, dir := range modules(t) {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			if !imports.Match(text) {
				return err
			}
			found++
			if len(path) < len(own) || path[:len(own)] != own {
				t.Errorf("%s imports OpenTelemetry", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("nothing imports OpenTelemetry")
	}
}
