package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
)

// postgres is a server of the test's own, so that it can be stopped.
type postgres struct {
	t        *testing.T
	bin, dir string
	port     string
	owner    *syscall.Credential
}

// newPostgres starts one, or says that there is none to start.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{t: t, bin: postgresPrograms()}
	if p.bin == "" {
		if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
			t.Fatal("no PostgreSQL server to start (initdb, pg_ctl): apt-get install postgresql")
		}
		t.Skip("NOT RUN: no PostgreSQL server to start (initdb, pg_ctl): apt-get install postgresql")
	}
	var err error
	//nolint:usetesting // another user must be able to reach it, and the path of a socket is short
	if p.dir, err = os.MkdirTemp("/tmp", "aftercall-e2e-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.dir) })
	if os.Getuid() == 0 {
		// PostgreSQL refuses to run as root.
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatalf("PostgreSQL does not run as root, and there is no other user for it: %v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	_, p.port, _ = net.SplitHostPort(freeAddress(t))
	p.run("initdb", "-D", p.data(), "-U", "aftercall", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
	p.start()
	t.Cleanup(func() { _ = p.command("pg_ctl", "-D", p.data(), "-m", "immediate", "stop").Run() })
	return p
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) url() string {
	return "postgres://aftercall@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
}

func (p *postgres) start() {
	p.t.Helper()
	p.run("pg_ctl", "-D", p.data(), "-l", filepath.Join(p.dir, "log"), "-w", "-o",
		fmt.Sprintf("-p %s -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c fsync=off", p.port, p.dir), "start")
}

// stop ends it as a power cut would.
func (p *postgres) stop() {
	p.t.Helper()
	p.run("pg_ctl", "-D", p.data(), "-m", "immediate", "-w", "stop")
}

func (p *postgres) run(name string, args ...string) {
	p.t.Helper()
	cmd := p.command(name, args...)
	// Not a pipe: the server that pg_ctl starts would keep it open.
	out, err := os.CreateTemp(p.t.TempDir(), "out")
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		p.t.Fatalf("%s: %v\n%s", name, err, bytes.TrimSpace(text))
	}
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	// The server outlives the context of the command that starts it.
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), filepath.Join(p.bin, name), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	return cmd
}

// postgresPrograms is the folder of initdb and pg_ctl, or empty.
func postgresPrograms() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func TestWithoutPostgreSQLWebhooksGoOnAndHistoryCatchesUp(t *testing.T) {
	c := kafkatest.Real(t)
	db := newPostgres(t)
	s := newStage(t, t.TempDir(), c, db.url())
	p := underLoad(t, s)
	p.midway(p.receiver.delivered)
	db.stop()
	atStop := p.receiver.delivered()
	p.further(1000) // however long the stop took, these come after it
	<-p.produced
	wait(t, "every delivery, without a database", func() bool { return p.receiver.delivered() == p.calls })
	wait(t, "the projector to say that it is not ready", func() bool {
		return status(t, "http://"+p.projector.ops+"/readyz") == http.StatusServiceUnavailable
	})
	if p.projector.ended() || p.sender.ended() || p.router.ended() {
		t.Fatal("a service ended because the database did")
	}
	db.start()
	began := time.Now()
	p.finish(0)
	t.Logf("%d deliveries while PostgreSQL was away; caught up and judged %s after it was back", p.calls-atStop, time.Since(began).Round(time.Millisecond))
	wait(t, "the projector to be ready again", func() bool { return status(t, "http://"+p.projector.ops+"/readyz") == http.StatusOK })
}
