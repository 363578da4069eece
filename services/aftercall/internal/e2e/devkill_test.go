package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

func TestDevKilledAgainAndAgainLosesNothingAcknowledged(t *testing.T) {
	const kills = 5
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	console, broker, sample := freeAddress(t), freeAddress(t), freeAddress(t)
	r := newReceiver(t, listen.Options{Delay: 2 * time.Millisecond})
	begin := func() *process {
		p := launch(t, folder, "aftercall", []string{"dev", "--data", data, "--calls", "0", "--listen", console, "--kafka-listen", broker, "--receiver-listen", sample}, nil)
		wait(t, "dev to be ready", func() bool {
			if p.ended() {
				t.Fatal("dev ended before it was ready")
			}
			return status(t, "http://"+console+"/readyz") == http.StatusOK
		})
		return p
	}
	p := begin()
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, base: "http://" + console + "/api/v1", token: strings.TrimSpace(string(token))}
	id := a.subscription(map[string]any{"name": "kept", "endpoint": r.URL + "/ok", "events": []string{topic.TypeRecording}, "signing_secret": signingSecret})
	var samples page[struct {
		ID     string   `json:"id"`
		Events []string `json:"events"`
	}]
	a.do(http.MethodGet, "/subscriptions", nil, &samples)

	c := kafka.Config{Brokers: []string{broker}}
	u := newUpstream(t, c)
	const n = 600
	limit := 0
	for kill := range kills {
		before := r.delivered()
		produced := u.send(topic.CDRRecording, n, 600)
		// Each time a little later in the work.
		wait(t, "deliveries under load", func() bool { return r.delivered() > before+50+kill*60 })
		// A commit waits for the disk here, a quarter of a second at the longest.
		limit += inFlight + int(float64(rate(r.log()))*(2*commitEvery).Seconds())
		p.kill()
		p = begin()
		<-produced
	}
	wait(t, "every delivery", func() bool { return r.delivered() >= kills*n })
	db, err := database.Config{URL: "sqlite:" + filepath.Join(data, "aftercall.db")}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rest(t, db)
	report := check(t, c, db, u, r.log(), func(run *verify.Run) {
		run.BrokerKilled, run.Repeats = true, limit
		run.Unseen = map[string]bool{}
		for _, s := range samples.Items {
			run.Unseen[s.ID] = s.ID != id
		}
		run.Secrets[id] = [][]byte{rawSecret(t, signingSecret)}
		run.Wants = func(verify.CDR) []string {
			var want []string
			for _, s := range samples.Items {
				for _, e := range s.Events {
					if e == topic.TypeRecording {
						want = append(want, s.ID)
					}
				}
			}
			return want
		}
	})
	t.Logf("%d kills: %d repeated requests of at most %d", kills, report.Repeats, limit)
}
