package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var row = regexp.MustCompile("(?m)^\\| `(AFTERCALL_[A-Z_]+)` \\| ([a-z, ]+) \\|")

// settings are the variables that each service reads, of the generated document.
func settings(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/configuration.md"), -1) {
		for service := range strings.SplitSeq(m[2], ", ") {
			out[service] = append(out[service], m[1])
		}
	}
	for _, s := range []string{"router", "sender", "projector", "admin"} {
		if len(out[s]) < 5 {
			t.Fatalf("docs/configuration.md names %d variables of %s", len(out[s]), s)
		}
	}
	// `aftercall topics` connects as the router does.
	out["topics"] = out["router"]
	return out
}

// known complains about a variable that a service does not read.
func known(t *testing.T, all map[string][]string, service, name string) {
	t.Helper()
	reads, ours := all[service]
	if !ours || !strings.HasPrefix(name, "AFTERCALL_") {
		return
	}
	if !slices.Contains(reads, name) && !slices.Contains(reads, strings.TrimSuffix(name, "_FILE")) {
		t.Errorf("%s does not read %s", service, name)
	}
}

// indispensable are the variables without which a service does not start, or does
// not do all of its work where others run beside it.
var indispensable = map[string][]string{
	"router":    {"AFTERCALL_BROKERS", "AFTERCALL_OPS_LISTEN", "AFTERCALL_INSTANCE"},
	"sender":    {"AFTERCALL_BROKERS", "AFTERCALL_OPS_LISTEN", "AFTERCALL_KEYSET_FILE"},
	"projector": {"AFTERCALL_BROKERS", "AFTERCALL_OPS_LISTEN", "AFTERCALL_INSTANCE", "AFTERCALL_DATABASE_URL_FILE", "AFTERCALL_KEYSET_FILE"},
	"admin":     {"AFTERCALL_BROKERS", "AFTERCALL_OPS_LISTEN", "AFTERCALL_LISTEN", "AFTERCALL_DATABASE_URL_FILE", "AFTERCALL_KEYSET_FILE"},
	"topics":    {"AFTERCALL_BROKERS"},
}

// supplied complains about a variable that a service needs and is not given.
func supplied(t *testing.T, service string, given func(name string) bool) {
	t.Helper()
	for _, name := range indispensable[service] {
		if !given(name) {
			t.Errorf("%s is not given %s", service, name)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}
