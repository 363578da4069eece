package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

func TestDevKilledAgainAndAgainLosesNothingAcknowledged(t *testing.T) {
	const kills, n = 5, 600
	d, p := newOneProcess(t, filepath.Join(t.TempDir(), "data"), topic.TypeRecording, listen.Options{Delay: 2 * time.Millisecond})
	limit := 0
	for kill := range kills {
		before := d.receiver.delivered()
		produced := d.upstream.send(topic.CDRRecording, n, 600)
		// Each time a little later in the work.
		wait(t, "deliveries under load", func() bool { return d.receiver.delivered() > before+50+kill*60 })
		// A commit waits for the disk here: once more as long between two of them.
		p.ops = d.console
		most := rate(d.receiver.log())
		limit += bound(t, p, most) + int(float64(most)*commitEvery.Seconds())
		p.kill()
		p = d.begin()
		d.ready(p)
		<-produced
	}
	report := d.judge(kills*n, limit)
	t.Logf("%d kills: %d repeated requests of at most %d", kills, report.Repeats, limit)
}
