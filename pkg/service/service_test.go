package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aftercall/aftercall/pkg/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type settings struct {
	Brokers  []string `env:"BROKERS,required"`
	Database string   `env:"DATABASE_URL"`
}

func begin(t *testing.T, args, environ []string, run func(context.Context, settings, Process) error) (status int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out strings.Builder
	ctx, stop := lifecycle.Signals(t.Context())
	defer stop()
	status = Start(ctx, "router", args, environ, &out, f, run)
	said, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return status, out.String(), string(said)
}

func never(context.Context, settings, Process) error { panic("must not run") }

func TestWrongSettingsEndTheProcessBeforeAnythingStarts(t *testing.T) {
	status, _, stderr := begin(t, nil, []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_LOG_LEVL=debug"}, never)
	if status != 2 || !strings.Contains(stderr, "did you mean AFTERCALL_LOG_LEVEL?") {
		t.Fatalf("%d %s", status, stderr)
	}
	if status, _, stderr = begin(t, nil, nil, never); status != 2 || !strings.Contains(stderr, "AFTERCALL_BROKERS") {
		t.Fatalf("%d %s", status, stderr)
	}
	if status, _, stderr = begin(t, nil, []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_LOG_LEVEL=loud"}, never); status != 2 || !strings.Contains(stderr, "AFTERCALL_LOG_LEVEL") {
		t.Fatalf("%d %s", status, stderr)
	}
}

func TestAWrongVariableOfOpenTelemetryIsAWrongSetting(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "zipkin")
	if status, _, stderr := begin(t, nil, []string{"AFTERCALL_BROKERS=a:1"}, never); status != 2 || !strings.Contains(stderr, "OTEL_TRACES_EXPORTER") {
		t.Fatalf("%d %s", status, stderr)
	}
}

func TestPrintConfigMasksSecretsAndRunsNothing(t *testing.T) {
	status, stdout, _ := begin(t, []string{"-print-config"}, []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_DATABASE_URL=postgres://u:hunter2@db/x"}, never)
	if status != 0 || strings.Contains(stdout, "hunter2") || !strings.Contains(stdout, "AFTERCALL_OPS_LISTEN=127.0.0.1:9100") {
		t.Fatalf("%d %s", status, stdout)
	}
}

func TestAServiceAnswersHealthAndEndsCleanlyByASignal(t *testing.T) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	status, _, stderr := begin(t, nil, []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_OPS_LISTEN=127.0.0.1:0"},
		func(ctx context.Context, cfg settings, p Process) error {
			p.Health.Register("kafka")
			res, err := client.Get("http://" + p.OpsAddress + "/readyz")
			if err != nil {
				return err
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "kafka: starting") {
				return errors.New("readyz: " + string(body))
			}
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
	if status != 0 || !strings.Contains(stderr, `"service.ended"`) || !strings.Contains(stderr, "received terminated") {
		t.Fatalf("%d %s", status, stderr)
	}
}

func TestAProcessListensNowhereWhenAskedTo(t *testing.T) {
	done := errors.New("done")
	for _, value := range []string{"", "none"} {
		said := "not run"
		environ := []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_OPS_LISTEN=" + value}
		_, _, stderr := begin(t, nil, environ, func(_ context.Context, _ settings, p Process) error {
			said = p.OpsAddress
			return done
		})
		if said != "" || !strings.Contains(stderr, done.Error()) {
			t.Errorf("%q: listens at %q: %s", value, said, stderr)
		}
		if status, _, stderr := begin(t, []string{"health"}, environ, never); status != 2 || !strings.Contains(stderr, "nothing answers there") {
			t.Errorf("%q: health: %d %s", value, status, stderr)
		}
	}
}

func TestProfilesAreServedOnALoopbackAddressOnly(t *testing.T) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	asked := errors.New("asked for all")
	environ := []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_OPS_LISTEN=127.0.0.1:0"}
	var said string
	look := func(_ context.Context, _ settings, p Process) error {
		if said = p.PprofAddress; said == "" {
			return asked
		}
		for _, address := range []string{p.PprofAddress, p.OpsAddress} {
			res, err := client.Get("http://" + address + "/debug/pprof/goroutine?debug=1")
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if found := res.StatusCode == http.StatusOK; found != (address == p.PprofAddress) {
				return errors.New(address + " answers " + res.Status)
			}
		}
		return asked
	}
	if _, _, stderr := begin(t, nil, append(environ, "AFTERCALL_PPROF_LISTEN=127.0.0.1:0"), look); said == "" || !strings.Contains(stderr, asked.Error()) {
		t.Errorf("at %q: %s", said, stderr)
	}
	if _, _, stderr := begin(t, nil, environ, look); said != "" || !strings.Contains(stderr, asked.Error()) {
		t.Errorf("by default at %q: %s", said, stderr)
	}
	if status, _, stderr := begin(t, nil, append(environ, "AFTERCALL_PPROF_LISTEN=0.0.0.0:0"), never); status != 2 || !strings.Contains(stderr, "AFTERCALL_PPROF_LISTEN") {
		t.Errorf("%d %s", status, stderr)
	}
}

func TestAFailureIsLoggedAndIsTheExitStatus(t *testing.T) {
	status, _, stderr := begin(t, nil, []string{"AFTERCALL_BROKERS=a:1", "AFTERCALL_OPS_LISTEN="},
		func(context.Context, settings, Process) error { return errors.New("broker gone") })
	if status != 1 || !strings.Contains(stderr, "router: broker gone") {
		t.Fatalf("%d %s", status, stderr)
	}
}
