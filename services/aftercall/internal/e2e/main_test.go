package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const module = "github.com/aftercall/aftercall/services/"

var built struct {
	folder string
	once   sync.Once
	err    error
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "aftercall-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.folder = folder
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

// binary is the path of a service's program. The first call builds them all: as
// they are shipped, without the race detector.
func binary(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() {
		args := []string{"build", "-buildvcs=false", "-o", built.folder}
		for _, s := range []string{"router", "sender", "projector", "admin", "aftercall"} {
			args = append(args, module+s+"/cmd/"+s)
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("building the programs: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.folder, name)
}
