package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func TestTheFirstSignalCancelsAndTheSecondExits(t *testing.T) {
	if os.Getenv("LIFECYCLE_SIGNALS_CHILD") == "1" {
		ctx, stop := lifecycle.Signals(t.Context())
		defer stop()
		fmt.Println("started")
		<-ctx.Done()
		fmt.Println("stopping:", context.Cause(ctx))
		select {} // A part that does not stop: only the second signal helps.
	}

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "LIFECYCLE_SIGNALS_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("child said %q, want %q", lines.Text(), want)
		}
	}
	expect("started")
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect("stopping: received terminated")
	if err := child.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGINT) {
		t.Fatalf("want exit status 130, got %v", err)
	}
}

func TestStopReleasesTheSignals(t *testing.T) {
	ctx, stop := lifecycle.Signals(t.Context())
	stop()
	stop()
	if ctx.Err() == nil {
		t.Fatal("stop must end the context")
	}
}
