package e2e

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

// oneProcess is the one-process edition on one folder and the same addresses,
// however often it is killed, with one webhook of the test's own.
type oneProcess struct {
	t                       *testing.T
	folder, data            string
	console, broker, sample string
	receiver                *receiver
	eventType, webhook      string
	samples                 page[struct {
		ID     string   `json:"id"`
		Events []string `json:"events"`
	}]
	upstream *upstream
}

// newOneProcess starts one with its data in a folder, and a webhook for one event
// type at a receiver of its own.
func newOneProcess(t *testing.T, data, eventType string, o listen.Options, flags ...string) (*oneProcess, *process) {
	t.Helper()
	d := &oneProcess{t: t, folder: t.TempDir(), data: data, console: freeAddress(t), broker: freeAddress(t), sample: freeAddress(t), receiver: newReceiver(t, o), eventType: eventType}
	p := d.begin(flags...)
	d.ready(p)
	a := apiAt(t, d)
	d.webhook = a.subscription(map[string]any{"name": "kept", "endpoint": d.receiver.URL + "/ok", "events": []string{eventType}, "signing_secret": signingSecret})
	a.do(http.MethodGet, "/subscriptions", nil, &d.samples)
	d.upstream = newUpstream(t, d.kafka())
	return d, p
}

func (d *oneProcess) kafka() kafka.Config { return kafka.Config{Brokers: []string{d.broker}} }

func (d *oneProcess) begin(flags ...string) *process {
	d.t.Helper()
	return launch(d.t, d.folder, "aftercall", append([]string{"dev", "--data", d.data, "--calls", "0",
		"--listen", d.console, "--kafka-listen", d.broker, "--receiver-listen", d.sample}, flags...), nil)
}

func (d *oneProcess) isReady() bool {
	return status(d.t, "http://"+d.console+"/readyz") == http.StatusOK
}

// ready waits until a process that was begun is.
func (d *oneProcess) ready(p *process) {
	d.t.Helper()
	wait(d.t, "dev to be ready", func() bool {
		if p.ended() {
			d.t.Fatal("dev ended before it was ready")
		}
		return d.isReady()
	})
}

// judge waits for all that was produced to reach its end, and checks the run.
func (d *oneProcess) judge(produced, repeats int) *verify.Report {
	d.t.Helper()
	wait(d.t, "every delivery", func() bool { return d.receiver.delivered() >= produced })
	db, err := database.Config{URL: "sqlite:" + filepath.Join(d.data, "aftercall.db")}.Open(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	rest(d.t, d.kafka(), db)
	return check(d.t, d.kafka(), db, d.upstream, d.receiver.log(), func(run *verify.Run) {
		run.BrokerKilled, run.Repeats = true, repeats
		run.Unseen = map[string]bool{}
		var want []string
		for _, s := range d.samples.Items {
			run.Unseen[s.ID] = s.ID != d.webhook
			if slices.Contains(s.Events, d.eventType) {
				want = append(want, s.ID)
			}
		}
		run.Secrets[d.webhook] = [][]byte{rawSecret(d.t, signingSecret)}
		run.Wants = func(verify.CDR) []string { return want }
	})
}
