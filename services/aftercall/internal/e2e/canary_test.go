package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// TestSecretsAndCallersAreNowhereTheyDoNotBelong runs calls to a receiver that
// works and to one that does not, then looks for what must not be there in all
// that was written.
func TestSecretsAndCallersAreNowhereTheyDoNotBelong(t *testing.T) {
	const (
		headerSecret = "canary-header-7d1f9a"
		urlSecret    = "canary-query-51c0de"
		caller       = "+15550199773"
		name         = "Canary Zweistein"
		note         = "canary-note-83aa"
	)
	signing := strings.TrimPrefix(signingSecret, "whsec_")
	s := onEmbedded(t)
	r := newReceiver(t, listen.Options{})
	running := []*process{s.start("router"), s.start("projector"), s.start("sender", open...), s.start("admin", open...)}
	a := apiOf(t, running[3])
	for _, path := range []string{"/ok", "/broken"} {
		a.subscription(map[string]any{
			"name": "to " + path, "endpoint": r.URL + path + "?token=" + urlSecret, "events": []string{topic.TypeQueue}, "signing_secret": signingSecret, "schedule": "once",
			"headers": []map[string]any{{"name": "x-api-key", "value": headerSecret, "secret": true}},
		})
	}
	kafkatest.Produce(t, s.kafka, &kgo.Record{Topic: topic.CDRQueue, Value: []byte(
		`{"CallId":"c-1","CallerNumber":"` + caller + `","CallerName":"` + name + `","Note":"` + note + `"}`)})
	// What is no CDR is quoted nowhere either.
	kafkatest.Produce(t, s.kafka, &kgo.Record{Topic: topic.CDRQueue, Value: []byte(`{"CallerNumber":"` + caller + `","CallerName":"` + name + `"`)})
	wait(t, "both requests", func() bool { return r.requests() >= 2 })
	projected(t, s.kafka, s.store)
	for _, e := range r.log() {
		if !strings.Contains(string(e.Body), caller) {
			t.Errorf("the receiver did not get the caller: the test would find nothing")
		}
	}

	personal := []string{caller, name, note}
	secrets := []string{headerSecret, signing}
	none := func(where string, text []byte, canaries ...string) {
		t.Helper()
		for _, c := range canaries {
			if i := bytes.Index(text, []byte(c)); i >= 0 {
				t.Errorf("%s holds %q: …%s…", where, c, text[max(0, i-120):min(len(text), i+len(c)+40)])
			}
		}
	}
	for _, p := range running {
		text, err := os.ReadFile(p.logFile)
		if err != nil {
			t.Fatal(err)
		}
		none(p.name+"'s log", text, append(append([]string{urlSecret, apiToken}, personal...), secrets...)...)
		answer, err := http.Get("http://" + p.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || len(text) == 0 {
			t.Fatalf("reading %s's metrics: %v", p.name, err)
		}
		none(p.name+"'s metrics", text, append(append([]string{urlSecret, apiToken, "127.0.0.1", "c-1"}, personal...), secrets...)...)
	}
	for _, rec := range kafkatest.ReadAll(t, s.kafka, everyTopic()...) {
		none(rec.Topic, append(rec.Key, rec.Value...), secrets...)
	}
	files, err := filepath.Glob(filepath.Join(s.folder, "aftercall.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database found: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		none(filepath.Base(f), text, append([]string{apiToken}, secrets...)...)
	}
	for _, path := range []string{"/subscriptions", "/attempts", "/deliveries", "/rejected"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+apiToken)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %d: %v", path, answer.StatusCode, err)
		}
		none(path, text, append(personal, secrets...)...)
	}
}
