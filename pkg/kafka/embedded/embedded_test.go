package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func inDir(dir string) func(*embedded.Config) { return func(c *embedded.Config) { c.Dir = dir } }

func TestDataIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b := kafkatest.Start(t, inDir(dir))
	kafkatest.Produce(t, b.Config(), kafkatest.CDR(topic.CDRQueue, "k", `{"CallId":"1"}`))
	b.Close()
	b = kafkatest.Start(t, inDir(dir))
	if got := kafkatest.ReadAll(t, b.Config(), topic.CDRQueue); len(got) != 1 || string(got[0].Value) != `{"CallId":"1"}` {
		t.Errorf("read %d records after a restart", len(got))
	}
}

func TestAFolderServesOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	b := kafkatest.Start(t, inDir(dir))
	_, err := embedded.Start(embedded.Config{Dir: dir})
	if !errors.Is(err, embedded.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second broker on the folder: %v", err)
	}
	b.Close()
	again, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		t.Fatalf("after the first one ended: %v", err)
	}
	again.Close()
}

func TestAPortInUseIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = embedded.Start(embedded.Config{Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Start = %v", err)
	}
}

func TestClientsAreSentToTheAdvertisedAddress(t *testing.T) {
	addr := kafkatest.Address(t)
	_, port, _ := net.SplitHostPort(addr)
	b := kafkatest.Start(t, func(c *embedded.Config) { c.Listen, c.Advertise = addr, "localhost:"+port })
	brokers, err := kafkatest.Admin(t, b.Config()).ListBrokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(brokers) != 1 || brokers[0].Host != "localhost" {
		t.Errorf("brokers are %v", brokers)
	}
}

// A write that fails must end the process before the client is answered.
func TestAFailedWriteIsFatal(t *testing.T) {
	dir := t.TempDir()
	var fatal atomic.Pointer[error]
	b := kafkatest.Start(t, inDir(dir), func(c *embedded.Config) {
		c.OnFatal = func(err error) { fatal.Store(&err) }
	})
	// The partition has no files before its first record: a file in the place
	// of its folder makes the first write fail.
	blocked := filepath.Join(dir, "partitions")
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	client := kafkatest.Client(t, b.Config(), b.Config().Producer()...)
	ctx, cancel := context.WithCancel(t.Context())
	go client.Produce(ctx, kafkatest.CDR(topic.CDRQueue, "", "{}"), nil)
	kafkatest.WaitFor(t, "the failed write", func() bool { return fatal.Load() != nil })
	cancel()
	if err := *fatal.Load(); !strings.Contains(err.Error(), "could not write") {
		t.Errorf("OnFatal got %v", err)
	}
}

const child = "AFTERCALL_TEST_EMBEDDED_DIR"

// TestMain runs the broker as a process of its own when a test asks for it.
func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		b, err := embedded.Start(embedded.Config{Dir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(b.Addr())
		select {}
	}
	os.Exit(m.Run())
}

func TestAcknowledgedRecordsSurviveAKill(t *testing.T) {
	dir := t.TempDir()
	kafkatest.Start(t, inDir(dir)).Close() // makes the topics
	acknowledged := 0
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), child+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var addr string
		if _, err := fmt.Fscanln(out, &addr); err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ProducerLinger(0))
		if err != nil {
			t.Fatal(err)
		}
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			for range 50 {
				if err := client.ProduceSync(t.Context(), kafkatest.CDR(topic.CDRQueue, "", "{}")).FirstErr(); err != nil {
					t.Errorf("producing: %v", err)
				}
				acknowledged++
			}
			_ = cmd.Process.Kill()
		}()
		<-killed
		_ = cmd.Wait()
		client.Close()
	}
	b := kafkatest.Start(t, inDir(dir))
	if got := len(kafkatest.ReadAll(t, b.Config(), topic.CDRQueue)); got < acknowledged {
		t.Errorf("%d records of %d acknowledged are left", got, acknowledged)
	}
}

// What a kill -9 in the middle of a transaction leaves: the records, and no end.
func TestATransactionThatWasOpenAtACrashHidesNothingThatIsCommittedLater(t *testing.T) {
	crashed, dir := t.TempDir(), t.TempDir()
	b := kafkatest.Start(t, inDir(crashed))
	produce := func(c kafka.Config, value string, end bool) {
		t.Helper()
		client := kafkatest.Client(t, c, kgo.TransactionalID("router"))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic.Events, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if end {
			if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce(b.Config(), "before", true)
	produce(b.Config(), "torn", false)
	// Every write is synced: this is what is on disk at the moment of a kill.
	if err := os.CopyFS(dir, os.DirFS(crashed)); err != nil {
		t.Fatal(err)
	}
	values := func(c kafka.Config) string {
		var out []string
		for _, r := range kafkatest.ReadAll(t, c, topic.Events) {
			out = append(out, string(r.Value))
		}
		return strings.Join(out, " ")
	}
	b = kafkatest.Start(t, inDir(dir))
	produce(b.Config(), "after", true)
	if got := values(b.Config()); got != "before after" {
		t.Errorf("after the crash a reader sees %q", got)
	}
	b.Close()
	b = kafkatest.Start(t, inDir(dir))
	if got := values(b.Config()); got != "before after" {
		t.Errorf("after one more restart a reader sees %q", got)
	}
}
