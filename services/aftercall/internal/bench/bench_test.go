package bench

import (
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/replay"
)

// TestMain is the program when the benchmark starts it as one of its processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == receiverCommand || os.Args[1] == "replay") {
		root := &cobra.Command{SilenceUsage: true}
		root.AddCommand(ReceiverCommand(), replay.Command())
		if root.Execute() != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// small options: enough to count, too little to time.
func small() Options {
	return Options{
		Deliveries: 40, Payload: 600, Concurrency: 8, Rate: 50, Seconds: 1, NeighbourRate: 20, NeighbourSeconds: 1,
		Replays: 300, ReplayRate: 10, ReplaySeconds: 1, Waiting: 200, progress: io.Discard, settle: 200 * time.Millisecond,
	}
}

func onStage[T any](t *testing.T, work func(ctx context.Context, r *receiver, at place) (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out T
	if err := small().at(ctx, onEmbedded, func(ctx context.Context, at place) error {
		r, err := startReceiver(ctx)
		if err != nil {
			return err
		}
		defer r.stop()
		out, err = work(ctx, r, at)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBadNeighboursHoldWhatTheyGetAndTheHealthyGetEverything(t *testing.T) {
	t.Parallel()
	began := time.Now()
	b := onStage(t, small().badNeighbours)
	healthy := int64(neighbours - holes - slow)
	for name, s := range map[string]Stretch{"alone": b.Alone, "beside": b.Beside} {
		if s.Offered != 20*healthy || s.Repeated != 0 || int64(s.Latency.Count) < s.Offered {
			t.Errorf("%s: offered %d to %d endpoints, %d repeated, %d ages", name, s.Offered, healthy, s.Repeated, s.Latency.Count)
		}
		if s.InTime > s.Offered {
			t.Errorf("%s: %d of %d in time", name, s.InTime, s.Offered)
		}
	}
	// Each bad endpoint holds its whole concurrency of 8 and gets nothing more, as long
	// as none of them has answered.
	if want := int64(8 * (holes + slow)); b.Done < want || b.Done > want && time.Since(began) < slowFor {
		t.Errorf("the bad ones got %d requests, want %d", b.Done, want)
	}
}

func TestAReplayRunsWhileLiveCallsAreMeasured(t *testing.T) {
	t.Parallel()
	b := onStage(t, small().besideReplay)
	if b.Done == 0 || b.Done >= 300 {
		t.Errorf("%d were replayed meanwhile, want some of 300, not all", b.Done)
	}
	// Replays are not taken for live calls.
	if b.Beside.Offered != 50 || b.Beside.Repeated != 0 || b.Beside.Latency.Count > 60 || b.Alone.Latency.Count > 60 {
		t.Errorf("offered %d, %d repeated, %d ages", b.Beside.Offered, b.Beside.Repeated, b.Beside.Latency.Count)
	}
}

// An endpoint that was mended under its old URL: without being asked to, a sender
// would try it after half a minute.
func TestWhatWaitsIsSentAtOnceWhenSomebodySaysSoThroughAnOpenBreaker(t *testing.T) {
	t.Parallel()
	b := onStage(t, small().afterOutage)
	// From its return to the last delivery, a few seconds of work.
	if b.Took > 30*time.Second {
		t.Errorf("nobody waited for the sender's own try, and it took %s", b.Took)
	}
	if b.Delivered != 200 || b.Repeated != 0 || b.AtOnce > b.Limit || b.AtOnce < 1 {
		t.Errorf("%d delivered, %d repeated, %d at once of %d", b.Delivered, b.Repeated, b.AtOnce, b.Limit)
	}
	// A probe, and then gently.
	if len(b.Ramp) < 4 || b.Ramp[0] != 1 || slices.Max(b.Ramp[:4]) > 2 {
		t.Errorf("at once with each of the first: %v", b.Ramp)
	}
}

func TestAHoleAnswersNobodyUntilItChanges(t *testing.T) {
	c := &crowd{groups: map[string]*group{}}
	t.Cleanup(c.close)
	ask := func(q question) answer {
		a, err := c.ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	url := ask(question{Open: 1, Group: "hole", Behaviour: behaviour{Never: true}, Ids: true}).URLs[0]
	post := func(id, cause, body string) (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("webhook-id", id)
		request.Header.Set("aftercall-cause", cause)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	ended := make(chan error, 1)
	go func() {
		_, err := post("evt_1", "call_ended", "{}")
		ended <- err
	}()
	for {
		g := ask(question{Count: true}).Figures.Groups["hole"]
		if g.Held == 1 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the request did not come")
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("the hole let go: %v", err)
	default:
	}
	ask(question{Behave: true, Group: "hole"})
	if err := <-ended; err == nil {
		t.Error("a request of before was answered")
	}

	ask(question{Forget: true})
	old := payloadOf(400, 1)(1, time.Now().Add(-time.Second))
	for _, p := range []struct{ id, cause string }{{"evt_1", "call_ended"}, {"evt_1", "call_ended"}, {"evt_1", "replay"}} {
		if status, err := post(p.id, p.cause, string(old)); err != nil || status != http.StatusNoContent {
			t.Fatal(status, err)
		}
	}
	g := ask(question{}).Figures.Groups["hole"]
	if g.Requests != 4 || g.Answered != 2 || g.Repeated != 1 || g.Replayed != 1 || g.Held != 0 || g.Peak != 1 {
		t.Errorf("counted %+v", g)
	}
	if g.Latency.Count != 2 || g.Latency.P50 < time.Second || g.Latency.P50 > 30*time.Second {
		t.Errorf("ages %+v", g.Latency)
	}
}

func TestComparingNamesWhatChanged(t *testing.T) {
	var results [2]map[string]float64
	for i, n := range []float64{100, 150} {
		results[i] = map[string]float64{}
		flatten(results[i], "", map[string]any{"Cores": 2.0, "Rows": []any{map[string]any{"Name": "bare", "CPU": n}}})
	}
	var out strings.Builder
	if err := compare(&out, results[0], results[1]); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(out.String()); strings.Join(got, " ") != "/Rows/bare/CPU 100 150 +50%" {
		t.Errorf("compared: %q", got)
	}
}
