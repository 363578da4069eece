//go:build proof

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
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
	disk := newSmallDisk(t)
	const blind = "--keep-free=1" // so that writes fail, before CDRs are refused
	d, p := newOneProcess(t, filepath.Join(disk.path, "data"), topic.TypeIvr, listen.Options{}, blind)
	stop := d.upstream.sustain(topic.CDRIvr, 100)
	n, limit := kills(t, 10), 0
	var back recovery
	for i := range n {
		before := d.receiver.requests()
		back.until(t, "requests", func() bool { return d.receiver.requests() > before+10 })
		limit += inFlight + 100
		disk.fill(int64(i%5) * 64 << 10)
		if status := p.exit(patience); status == 0 {
			t.Error("with a full disk it ended as if all were well")
		}
		if said := p.tail(3); !strings.Contains(said, "could not write") && !strings.Contains(said, "no space") {
			t.Errorf("it does not say why it ended:\n%s", said)
		}
		disk.clear()
		p = d.begin(blind)
	}
	d.ready(p)
	p.stop()
	// With the default it refuses CDRs before the disk is full, and goes on.
	p = d.begin()
	d.ready(p)
	disk.fill(10 << 20)
	wait(t, "dev to refuse CDRs", func() bool { return !d.isReady() })
	if p.ended() {
		t.Error("it ended instead of refusing CDRs")
	}
	disk.clear()
	d.ready(p)
	total := stop()
	report := d.judge(total, limit)
	note(t, proven{"disk full, then free again", "one process", n, total, lost(report), report.Repeats, limit, back.String()})
}
