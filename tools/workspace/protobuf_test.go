package workspace

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// changed is the proto folder with one file changed: old becomes new.
func changed(t *testing.T, file, old, new string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "proto"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "aftercall", "v1", file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(old)); n != 1 {
		t.Fatalf("%q stands %d times in %s", old, n, file)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheProtobufMayGrowAndNothingElse(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "build.sh"), "buf").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, x := range map[string]struct{ file, old, new, says string }{
		"as it is":           {"delivery.proto", "string traceparent = 16;", "string traceparent = 16;", ""},
		"a field more":       {"delivery.proto", "string traceparent = 16;", "string traceparent = 16;\n  string added = 1000;", ""},
		"a field removed":    {"delivery.proto", "  string traceparent = 16;\n", "", "Previously present field \"16\""},
		"a field renumbered": {"event.proto", "string traceparent = 18;", "string traceparent = 1000;", "Previously present field \"18\""},
		"another type":       {"history.proto", "int32 http_status = 20;", "string http_status = 20;", "changed type"},
		"a value removed":    {"common.proto", "  CAUSE_REPLAY = 4;\n", "", "Previously present enum value \"4\""},
		"against the rules":  {"delivery.proto", "string traceparent = 16;", "string traceparent = 16;\n  string Added = 1000;", "lower_snake_case"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := changed(t, x.file, x.old, x.new)
			out, err := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "protobuf.sh"), dir).CombinedOutput()
			if (err != nil) != (x.says != "") || !strings.Contains(string(out), x.says) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
