//go:build proof

package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// smallDisk is a disk of 256 MiB, with a ballast that fills it up.
type smallDisk struct {
	t    *testing.T
	path string
}

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", d.path, "tmpfs", 0, "size=256m"); err != nil {
		t.Fatalf("NOT RUN: mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *smallDisk) free() int64 {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.path, &s); err != nil {
		d.t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

func (d *smallDisk) ballast() string { return filepath.Join(d.path, "ballast") }

// fill leaves so many bytes free.
func (d *smallDisk) fill(left int64) {
	d.t.Helper()
	if n := d.free() - left; n > 0 {
		// Another writer may be faster: the disk is full then, too.
		if err := os.WriteFile(d.ballast(), make([]byte, n), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) clear() { _ = os.Remove(d.ballast()) }

func TestProofThatAFullDiskLosesNothing(t *testing.T) {
	d := newSmallDisk(t)
	folder := t.TempDir()
	data := filepath.Join(d.path, "data")
	console, broker, sample := freeAddress(t), freeAddress(t), freeAddress(t)
	r := newReceiver(t, listen.Options{})
	ready := func() bool { return status(t, "http://"+console+"/readyz") == http.StatusOK }
	begin := func(more ...string) *process {
		return launch(t, folder, "aftercall", append([]string{"dev", "--data", data, "--calls", "0", "--listen", console, "--kafka-listen", broker, "--receiver-listen", sample}, more...), nil)
	}
	const blind = "--keep-free=1" // so that writes fail, before CDRs are refused
	p := begin(blind)
	wait(t, "dev to be ready", ready)
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, base: "http://" + console + "/api/v1", token: strings.TrimSpace(string(token))}
	id := a.subscription(map[string]any{"name": "kept", "endpoint": r.URL + "/ok", "events": []string{topic.TypeIvr}, "signing_secret": signingSecret})
	var samples page[struct {
		ID     string   `json:"id"`
		Events []string `json:"events"`
	}]
	a.do(http.MethodGet, "/subscriptions", nil, &samples)
	c := kafka.Config{Brokers: []string{broker}}
	u := newUpstream(t, c)
	stop := u.sustain(topic.CDRIvr, 100)
	n, limit := kills(t, 10), 0
	var back recovery
	for i := range n {
		before := r.requests()
		back.until(t, "requests", func() bool { return r.requests() > before+10 })
		limit += inFlight + 100
		d.fill(int64(i%5) * 64 << 10)
		if status := p.exit(patience); status == 0 {
			t.Error("with a full disk it ended as if all were well")
		}
		if said := p.tail(3); !strings.Contains(said, "could not write") && !strings.Contains(said, "no space") {
			t.Errorf("it does not say why it ended:\n%s", said)
		}
		d.clear()
		p = begin(blind)
	}
	wait(t, "dev to be ready", ready)
	p.stop()
	// With the default it refuses CDRs before the disk is full, and goes on.
	p = begin()
	wait(t, "dev to be ready", ready)
	d.fill(10 << 20)
	wait(t, "dev to refuse CDRs", func() bool { return !ready() })
	if p.ended() {
		t.Error("it ended instead of refusing CDRs")
	}
	d.clear()
	wait(t, "dev to be ready again", ready)
	total := stop()
	wait(t, "every delivery", func() bool { return r.delivered() >= total })
	db, err := database.Config{URL: "sqlite:" + filepath.Join(data, "aftercall.db")}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rest(t, db)
	report := check(t, c, db, u, r.log(), func(run *verify.Run) {
		run.BrokerKilled, run.Repeats = true, limit
		run.Unseen = map[string]bool{}
		var want []string
		for _, s := range samples.Items {
			run.Unseen[s.ID] = s.ID != id
			for _, e := range s.Events {
				if e == topic.TypeIvr {
					want = append(want, s.ID)
				}
			}
		}
		run.Secrets[id] = [][]byte{rawSecret(t, signingSecret)}
		run.Wants = func(verify.CDR) []string { return want }
	})
	note(t, proven{"disk full, then free again", "one process", n, total, lost(report), report.Repeats, limit, back.String()})
}
