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
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
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
