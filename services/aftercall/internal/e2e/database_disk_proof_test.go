//go:build proof

package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// on makes a database on a disk of its own. What PostgreSQL writes ahead stays
// elsewhere: without room for that it ends, as if it were stopped.
func (p *postgres) on(d *smallDisk) string {
	p.t.Helper()
	// The test's folder is root's alone.
	for _, folder := range []string{filepath.Dir(d.path), d.path} {
		if err := os.Chmod(folder, 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	place := filepath.Join(d.path, "tables")
	if err := os.Mkdir(place, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chown(place, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
		p.t.Fatal(err)
	}
	execute(p.t, p.url(), "create tablespace small location '"+place+"'")
	execute(p.t, p.url(), "create database small tablespace small")
	u, err := url.Parse(p.url())
	if err != nil {
		p.t.Fatal(err)
	}
	u.Path = "/small"
	return u.String()
}

func TestProofThatAFullDiskOfPostgreSQLHoldsNobodyUp(t *testing.T) {
	c := kafkatest.Real(t)
	disk := newSmallDisk(t)
	db := newPostgres(t)
	// Before the disk goes, the server does.
	t.Cleanup(func() { _ = db.command("pg_ctl", "-D", db.data(), "-m", "immediate", "stop").Run() })
	s := newStage(t, t.TempDir(), c, db.on(disk))
	r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
	u := newUpstream(t, s.kafka)
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
	s.start("router")
	projector := s.start("projector")
	s.start("sender", open...)
	readiness := func() int { return status(t, "http://"+projector.ops+"/readyz") }
	stop := u.sustain(topic.CDRQueue, 100)
	n := kills(t, 10)
	var back recovery
	for i := range n {
		disk.fill(int64(i%5) * 64 << 10)
		wait(t, "the projector to say that it is not ready", func() bool { return readiness() == http.StatusServiceUnavailable })
		before := r.requests()
		wait(t, "webhooks to go on", func() bool { return r.requests() > before+100 })
		disk.clear()
		back.until(t, "the projector to be ready again", func() bool { return readiness() == http.StatusOK })
	}
	total := stop()
	if said := strings.Join(projector.lines(), "\n"); !strings.Contains(said, "make room") {
		t.Error("the projector does not say what to do")
	}
	s.settled(r, total)
	report := s.judge(u, r, 0)
	note(t, proven{"disk of PostgreSQL full, then free again", "real Kafka, PostgreSQL", n, total, lost(report), report.Repeats, 0, back.String()})
}
