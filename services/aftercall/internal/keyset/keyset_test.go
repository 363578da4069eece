package keyset

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/secret"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestANewKeysetIsForItsOwnerAndReplacesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	out, err := run(t, "new", path)
	if err != nil || !strings.Contains(out, "AFTERCALL_KEYSET_FILE="+path) {
		t.Fatalf("%s, %v", out, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := run(t, "new", path); err == nil || !strings.Contains(err.Error(), "stays") {
		t.Errorf("%v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Error("it was replaced")
	}
	shown, err := run(t, "show", path)
	if err != nil || !strings.Contains(shown, "seals and opens") || strings.Contains(shown, "value") {
		t.Errorf("%s, %v", shown, err)
	}
}

func TestAKeysetForAnotherCommandIsWhatIsWritten(t *testing.T) {
	out, err := run(t, "new", "-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Open([]byte(out)); err != nil {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNoKeysetIsNotShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "show", path); err == nil || strings.Contains(out+err.Error(), "hunter2") {
		t.Errorf("%s, %v", out, err)
	}
}
