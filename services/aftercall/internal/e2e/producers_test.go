package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// produced is a CDR of a stranger: valid, and such that any decoding and encoding
// on the way would change it.
func produced(callID string) []byte {
	return []byte(`{ "CallId" : "` + callID + `","QueueName":"Vertrieb \u00fc é ☎",   "Big":1e400, "Twice":1,"Twice":2, "Zero":-0.0 }`)
}

func TestACDRFromAnyProducerArrivesByteForByte(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		r := newReceiver(t, listen.Options{})
		s.begin("router").ready()
		s.begin("projector").ready()
		admin := s.start("admin", open...)
		s.begin("sender", open...).ready()
		a := apiOf(t, admin)
		a.subscription(map[string]any{"name": "any", "endpoint": r.URL + "/ok", "events": []string{topic.TypeQueue}, "signing_secret": signingSecret})

		var sent []string
		send := func(id string, produce func(t *testing.T, s *stage, key string, value []byte)) {
			for _, key := range []string{"", "a key"} {
				callID := id
				if key != "" {
					callID += "-with-key"
				}
				produce(t, s, key, produced(callID))
				sent = append(sent, callID)
			}
		}
		send("kafka-go", byKafkaGo)
		if _, err := exec.LookPath("kcat"); err == nil {
			send("kcat", byKcat)
		} else {
			required(t, "kcat is not installed (apt-get install kcat)")
		}
		switch tools := os.Getenv("AFTERCALL_TEST_KAFKA_TOOLS"); {
		case strings.HasPrefix(s.databaseURL, "sqlite:"):
		case tools != "":
			send("console", byConsoleProducer)
		default:
			required(t, "AFTERCALL_TEST_KAFKA_TOOLS is not set: Apache's console producer")
		}

		wait(t, "every CDR at the receiver", func() bool { return r.delivered() == len(sent) })
		webhook, err := standardwebhooks.NewWebhook(signingSecret)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, e := range r.log() {
			if err := webhook.Verify(e.Body, e.Headers); err != nil {
				t.Errorf("%s does not verify under the published library: %v", e.Body, err)
			}
			got[string(e.Body)] = true
		}
		for _, id := range sent {
			if !got[string(produced(id))] {
				t.Errorf("the CDR of %s did not arrive byte for byte", id)
			}
		}
		for _, id := range sent {
			inHistory(t, s, a, id)
		}
	})
}

// inHistory finds the attempt by the API and in the public view.
func inHistory(t *testing.T, s *stage, a *api, callID string) {
	t.Helper()
	var attempts page[struct {
		CallID     string `json:"call_id"`
		Result     string `json:"result"`
		HTTPStatus int    `json:"http_status"`
		Name       string `json:"subscription_name"`
	}]
	wait(t, "the attempt of "+callID+" in the history", func() bool {
		if status := a.do(http.MethodGet, "/attempts?call="+url.QueryEscape(callID), nil, &attempts); status != http.StatusOK {
			t.Fatalf("listing the attempts of %s: %d", callID, status)
		}
		return len(attempts.Items) > 0
	})
	if len(attempts.Items) != 1 || attempts.Items[0].Result != "delivered" || attempts.Items[0].HTTPStatus != 200 || attempts.Items[0].Name != "any" || attempts.Items[0].CallID != callID {
		t.Errorf("attempts of %s by the API: %+v", callID, attempts.Items)
	}
	driver, source := "pgx", s.databaseURL
	if file, ok := strings.CutPrefix(source, "sqlite:"); ok {
		driver, source = "sqlite", file
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var result, name string
	err = db.QueryRowContext(t.Context(), `select result, subscription_name from v_attempts where call_id = $1`, callID).Scan(&result, &name)
	if err != nil || result != "delivered" || name != "any" {
		t.Errorf("v_attempts of %s: %q, %q, %v", callID, result, name, err)
	}
}

// required says what did not run, or fails where everything has to.
func required(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
		t.Fatal(what)
	}
	t.Log("NOT RUN: " + what)
}

func byKafkaGo(t *testing.T, s *stage, key string, value []byte) {
	t.Helper()
	// The default one remembers for seconds which topics there were.
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(s.kafka.Brokers[0]), Transport: transport, Topic: topic.CDRQueue, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond}
	defer w.Close()
	m := kafka.Message{Value: value}
	if key != "" {
		m.Key = []byte(key)
	}
	if err := w.WriteMessages(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func byKcat(t *testing.T, s *stage, key string, value []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cdr.json")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-P", "-b", s.kafka.Brokers[0], "-t", topic.CDRQueue}
	if key != "" {
		args = append(args, "-k", key)
	}
	command(t, nil, "kcat", append(args, file)...)
}

func byConsoleProducer(t *testing.T, s *stage, key string, value []byte) {
	t.Helper()
	args := []string{
		"-Dfile.encoding=UTF-8", "-cp", filepath.Join(os.Getenv("AFTERCALL_TEST_KAFKA_TOOLS"), "*"), "org.apache.kafka.tools.ConsoleProducer",
		"--bootstrap-server", s.kafka.Brokers[0], "--topic", topic.CDRQueue,
	}
	if key != "" {
		args = append(args, "--property", "parse.key=true", "--property", "key.separator=|")
		value = append([]byte(key+"|"), value...)
	}
	command(t, append(value, '\n'), "java", args...)
}

// command runs one to its end.
func command(t *testing.T, stdin []byte, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
