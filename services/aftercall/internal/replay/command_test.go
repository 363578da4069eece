package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

func run(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	cmd := Command()
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

func TestTheCommandSendsOnlyWithExecute(t *testing.T) {
	c := kafkatest.Start(t).Config()
	d := &aftercallv1.Delivery{DeliveryId: "dlv_1", EventId: "evt_1", SubscriptionId: "sub_a", Attempt: 1, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED}
	kafkatest.Produce(t, c, record.New(topic.GivenUp, "sub_a/0", d, time.Now()))
	file := filepath.Join(t.TempDir(), "place.json")
	args := []string{"run", "--brokers", c.Brokers[0], "--topic", "deliveries.given-up", "--from", "-1h", "--to", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "--state", "given_up", "--state-file", file, "--rate", "200/s"}
	out, errs, err := run(t, args...)
	if err != nil || !strings.Contains(out, `"send":1`) || !strings.Contains(errs, "--execute") || len(kafkatest.ReadAll(t, c, topic.Deliveries)) != 0 {
		t.Fatalf("planned: %s %s %v", out, errs, err)
	}
	out, _, err = run(t, append(args, "--execute")...)
	if err != nil || !strings.Contains(out, `"sent":1`) || len(kafkatest.ReadAll(t, c, topic.Deliveries)) != 1 {
		t.Fatalf("sent: %s %v", out, err)
	}
	if _, _, err := run(t, "resume", file); err == nil || !strings.Contains(err.Error(), "is done") {
		t.Errorf("resuming what is done: %v", err)
	}
}

func TestTheTopicsOfAReplayAreCalledByShortNames(t *testing.T) {
	for name, want := range map[string]string{
		"deliveries": topic.Deliveries, "given-up": topic.GivenUp, "deliveries.given-up": topic.GivenUp, topic.GivenUp: topic.GivenUp, "history": "",
	} {
		f := flags{topic: name, from: "-1h", to: "now"}
		j, err := f.job()
		if want == "" && (err == nil || !strings.Contains(err.Error(), `"history"`)) || want != "" && (err != nil || j.Topic != want) {
			t.Errorf("%s: %+v, %v", name, j, err)
		}
	}
}

func TestWhatIsInterruptedIsPartlyDone(t *testing.T) {
	c := kafkatest.Start(t).Config()
	for _, id := range []string{"dlv_1", "dlv_2", "dlv_3"} {
		d := &aftercallv1.Delivery{DeliveryId: id, EventId: "evt_" + id, SubscriptionId: "sub_a", Attempt: 1, Cause: aftercallv1.Cause_CAUSE_CALL_ENDED}
		kafkatest.Produce(t, c, record.New(topic.GivenUp, "sub_a/0", d, time.Now()))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*kafkatest.Patience)
	defer cancel()
	cmd := Command()
	cmd.SetOut(io.Discard)
	file := filepath.Join(t.TempDir(), "place.json")
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"run", "--brokers", c.Brokers[0], "--topic", "deliveries.given-up", "--from", "-1h", "--to", time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "--state", "given_up", "--state-file", file, "--rate", "1/s", "--execute"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	// Interrupted once it has begun to send.
	for len(kafkatest.ReadAll(t, c, topic.Deliveries)) == 0 && ctx.Err() == nil {
		runtime.Gosched()
	}
	cancel()
	var status *client.ExitError
	if err := <-ended; !errors.As(err, &status) || status.Code != client.ExitPartly {
		t.Errorf("interrupted: %v", err)
	}
}

func TestOverTheAPIItPlansRunsAndFollows(t *testing.T) {
	asked := map[string]map[string]any{}
	reads := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer act_x" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"unauthorized","detail":"This token is unknown."}`))
			return
		}
		body := map[string]any{}
		_ = json.NewDecoder(r.Body).Decode(&body)
		asked[r.Method+" "+r.URL.Path] = body
		state := "planned"
		switch {
		case strings.HasSuffix(r.URL.Path, "/run"):
			state = "running"
		case r.Method == http.MethodGet:
			state = "running"
			if reads++; reads > 1 {
				state = "done"
			}
		}
		_, _ = w.Write([]byte(`{"id":"rpl_1","state":"` + state + `","total":2,"sent":2}`))
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("act_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := []string{"--api", server.URL, "--token-file", token}
	out, _, err := run(t, append([]string{"run", "--from", "-2h", "--state", "given_up", "--rate", "20/s", "--execute"}, to...)...)
	if err != nil || !strings.Contains(out, `"state":"done"`) || asked["POST /api/v1/replays"]["mode"] != "recover" || asked["POST /api/v1/replays/rpl_1/run"]["rate"] != 20.0 {
		t.Errorf("%s, %v, %v", out, err, asked)
	}
	if err := os.WriteFile(token, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t, append([]string{"list"}, to...)...); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("a wrong token: %v", err)
	}
	t.Setenv("AFTERCALL_API", server.URL)
	t.Setenv("AFTERCALL_TOKEN", "act_x")
	if _, _, err := run(t, "plan", "--from", "-2h"); err != nil {
		t.Errorf("with the address and the token of the environment: %v", err)
	}
}

func TestAResumedReplayKeepsItsRate(t *testing.T) {
	var asked []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var body struct{ Rate int }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			asked = append(asked, body.Rate)
		}
		_, _ = w.Write([]byte(`{"id":"rpl_1","state":"done","rate":7,"total":1,"sent":1}`))
	}))
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("act_x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--rate", "20/s"}} {
		if _, errs, err := run(t, append([]string{"resume", "rpl_1", "--api", server.URL, "--token-file", token}, more...)...); err != nil {
			t.Fatal(errs, err)
		}
	}
	if len(asked) != 2 || asked[0] != 7 || asked[1] != 20 {
		t.Errorf("it went on at %v", asked)
	}
}

func TestTheRateOfAResumedReplayLeavesOutWhatWasSentBefore(t *testing.T) {
	b := bar(&bytes.Buffer{}, 2074, 700)
	_ = b.Add(1) // a display
	if s := b.State(); s.CurrentBytes != 1 || b.GetMax64() != 1374 || !strings.Contains(s.Description, "after 700 before") {
		t.Errorf("%v of %d, %q", s.CurrentBytes, b.GetMax64(), s.Description)
	}
}
