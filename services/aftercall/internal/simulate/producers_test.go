package simulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// snippets are the fenced blocks of docs/producers.md in one language, made to
// talk to a broker.
func snippets(t *testing.T, language, broker string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/producers.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		code, _, closed := strings.Cut(part, "\n```")
		if !closed {
			t.Fatal("a block is not closed")
		}
		if !strings.Contains(code, DefaultBroker) {
			t.Fatalf("a snippet names no broker:\n%s", code)
		}
		found = append(found, strings.ReplaceAll(code, DefaultBroker, broker))
	}
	if len(found) == 0 {
		t.Fatalf("no snippets in %s", language)
	}
	return found
}

// need skips loudly when a program is not there, and fails where everything has
// to run.
func need(t *testing.T, found bool, what, get string) {
	t.Helper()
	switch {
	case found:
	case os.Getenv("AFTERCALL_REQUIRE_REAL") == "1":
		t.Fatalf("NOT RUN: %s is not here (%s)", what, get)
	default:
		t.Skipf("NOT RUN: %s is not here (%s)", what, get)
	}
}

func execute(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*kafkatest.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// wantCalls holds what arrived against what the snippets send: topic, CallId and
// whether there was a key.
func wantCalls(t *testing.T, c kafka.Config, want ...string) {
	t.Helper()
	var got []string
	for _, r := range kafkatest.ReadAll(t, c, topic.CDRIvr, topic.CDRQueue, topic.CDRAgent, topic.CDRRecording, topic.CDRTest) {
		in := cdr.Input{Topic: r.Topic, TypeOfTopic: topic.Sources[r.Topic], Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
		if r.Topic == topic.CDRTest {
			in.TypeOfTopic = ""
		}
		for _, h := range r.Headers {
			in.Headers = append(in.Headers, cdr.Header{Key: h.Key, Value: h.Value})
		}
		decoded, err := cdr.Decode(in)
		if err != nil {
			t.Errorf("%s: %v", r.Value, err)
			continue
		}
		if len(decoded.Warnings) > 0 {
			t.Errorf("%s: warnings %q", r.Value, decoded.Warnings)
		}
		got = append(got, fmt.Sprintf("%s %s key=%s id=%s", strings.TrimPrefix(r.Topic, "aftercall.cdr."), decoded.CallID, r.Key, decoded.CeID))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("arrived:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheDocumentedGoSnippetsArrive(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: compiles three programs (run without -short)")
	}
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		for i, code := range snippets(t, "go", c.Brokers[0]) {
			file := filepath.Join(t.TempDir(), fmt.Sprintf("snippet%d.go", i))
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			execute(t, "go", "run", file)
		}
		wantCalls(t, c,
			"queue go-cdrclient-1 key=go-cdrclient-1 id=",
			"queue go-kafka-go-1 key=go-kafka-go-1 id=",
			"agent go-franz-1 key=go-franz-1 id=franz-1",
		)
	})
}

func TestTheDocumentedPythonSnippetArrives(t *testing.T) {
	python := os.Getenv("AFTERCALL_TEST_PYTHON")
	if python == "" {
		python = "python3"
	}
	err := exec.CommandContext(t.Context(), python, "-c", "import confluent_kafka").Run()
	need(t, err == nil, python+" with confluent-kafka", "pip install confluent-kafka; AFTERCALL_TEST_PYTHON names another interpreter")
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		for _, code := range snippets(t, "python", c.Brokers[0]) {
			execute(t, python, "-c", code)
		}
		wantCalls(t, c, "ivr python-1 key=python-1 id=python-1")
	})
}

func TestTheDocumentedJavaSnippetArrives(t *testing.T) {
	clients := os.Getenv("AFTERCALL_TEST_KAFKA_HOME")
	need(t, clients != "", "Kafka's Java client", "make real-up, then make test-real")
	modules, err := exec.CommandContext(t.Context(), "java", "--list-modules").Output()
	need(t, err == nil && strings.Contains(string(modules), "jdk.compiler@"), "a Java compiler", "apt-get install openjdk-17-jdk-headless")
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		for _, code := range snippets(t, "java", c.Brokers[0]) {
			file := filepath.Join(t.TempDir(), "CdrProducer.java")
			if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			// Source files are UTF-8 by themselves only from Java 18 on.
			execute(t, "java", "-Dfile.encoding=UTF-8", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(clients, "*"), file)
		}
		wantCalls(t, c, "queue java-1 key=java-1 id=java-1")
	})
}

func TestTheDocumentedKcatSnippetsArrive(t *testing.T) {
	_, err := exec.LookPath("kcat")
	need(t, !errors.Is(err, exec.ErrNotFound), "kcat", "apt-get install kcat")
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		for _, code := range snippets(t, "sh", c.Brokers[0]) {
			execute(t, "sh", "-ec", code)
		}
		wantCalls(t, c,
			"queue kcat-1 key= id=",
			"recording kcat-2 key=kcat-2 id=kcat-2",
			"test  key= id=",
		)
	})
}
