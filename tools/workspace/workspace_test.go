// Package workspace holds the checks on the modules as a whole.
package workspace

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// run returns what a go command prints in dir, with the workspace or without it.
func run(t *testing.T, dir, gowork string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK="+gowork)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s in %s: %v", strings.Join(args, " "), dir, err)
	}
	return string(out)
}

// modules are the folders of the workspace's modules.
func modules(t *testing.T) []string {
	t.Helper()
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal([]byte(run(t, root, "", "work", "edit", "-json")), &work); err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, use := range work.Use {
		dirs = append(dirs, filepath.Join(root, use.DiskPath))
	}
	return dirs
}

func TestTheModulesAgreeOnOneVersionOfEachDependency(t *testing.T) {
	versions := map[string]map[string][]string{} // dependency → version → modules
	for _, dir := range modules(t) {
		var mod struct {
			Module  struct{ Path string }
			Require []struct{ Path, Version string }
		}
		if err := json.Unmarshal([]byte(run(t, dir, "off", "mod", "edit", "-json")), &mod); err != nil {
			t.Fatal(err)
		}
		for _, r := range mod.Require {
			if versions[r.Path] == nil {
				versions[r.Path] = map[string][]string{}
			}
			versions[r.Path][r.Version] = append(versions[r.Path][r.Version], strings.TrimPrefix(mod.Module.Path, "github.com/aftercall/aftercall/"))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(versions)) {
		if len(versions[path]) < 2 {
			continue
		}
		t.Errorf("%s has %d versions (make tidy brings them together):", path, len(versions[path]))
		for version, in := range versions[path] {
			t.Errorf("    %s in %s", version, strings.Join(in, ", "))
		}
	}
}

// Router and sender must go on when the database is down; that they could not
// even speak to one keeps it so. (database/sql itself comes with Prometheus, which
// can watch connection pools.)
func TestRouterAndSenderLinkNoDatabaseDriver(t *testing.T) {
	for _, service := range []string{"router", "sender"} {
		deps := run(t, filepath.Join(root, "services", service), "", "list", "-deps", "./...")
		for dep := range strings.FieldsSeq(deps) {
			for _, driver := range []string{
				"github.com/jackc/pgx", "modernc.org/sqlite", "github.com/lib/pq", "github.com/mattn/go-sqlite3",
				"github.com/aftercall/aftercall/pkg/store",
			} {
				if dep == driver || strings.HasPrefix(dep, driver+"/") {
					t.Errorf("%s depends on %s", service, dep)
				}
			}
		}
	}
}

// What stands lower must not know what stands higher.
func TestDependenciesPointOneWay(t *testing.T) {
	const prefix = "github.com/aftercall/aftercall/"
	for _, rule := range []struct{ dir, forbidden, why string }{
		{"proto", prefix + "pkg", "contracts know no code"},
		{"proto", prefix + "services", "contracts know no code"},
		{"pkg", prefix + "services", "shared packages know no service"},
		{"pkg/cdrclient", prefix + "proto", "upstream teams import it without its siblings"},
		{"pkg/cdrclient", prefix + "pkg/", "upstream teams import it without its siblings"},
	} {
		dir := filepath.Join(root, rule.dir)
		own := prefix + rule.dir
		for dep := range strings.FieldsSeq(run(t, dir, "", "list", "-deps", "./...")) {
			if strings.HasPrefix(dep, rule.forbidden) && dep != own && !strings.HasPrefix(dep, own+"/") {
				t.Errorf("%s depends on %s: %s", rule.dir, dep, rule.why)
			}
		}
	}
}

// The domain is pure: it can be tested, and read, without a broker.
func TestDomainPackagesImportNoTransportStoreOrLogger(t *testing.T) {
	for _, pkg := range []string{"cdr", "webhook", "subscription"} {
		if _, err := os.Stat(filepath.Join(root, "pkg", pkg)); err != nil {
			continue
		}
		for dep := range strings.FieldsSeq(run(t, filepath.Join(root, "pkg"), "", "list", "-deps", "./"+pkg)) {
			for _, forbidden := range []string{"github.com/twmb/franz-go", "github.com/segmentio/kafka-go", "go.uber.org/zap", "database/sql", "github.com/aftercall/aftercall/pkg/store", "github.com/aftercall/aftercall/pkg/kafka"} {
				if dep == forbidden || strings.HasPrefix(dep, forbidden+"/") {
					t.Errorf("pkg/%s depends on %s", pkg, dep)
				}
			}
		}
	}
}
