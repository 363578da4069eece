//go:build proof

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// cluster are Kafka nodes, broker and controller in one, that can be killed one by
// one.
type cluster struct {
	t       *testing.T
	classes string
	log4j   string
	nodes   []node
}

// outer is a listener beside the one that a cluster has for itself.
type outer struct {
	address, protocol string
	properties        string
	format            []string
}

type node struct {
	// address is where clients are told to find it.
	address, conf, log string
	cmd                *exec.Cmd
	done               chan struct{}
}

// newCluster starts nodes. behind answers the address by which clients reach a
// node that listens on another one; nil is directly.
func newCluster(t *testing.T, nodes int, behind func(listens string) string, more ...outer) *cluster {
	t.Helper()
	home, up := os.Getenv("AFTERCALL_TEST_KAFKA_HOME"), os.Getenv("AFTERCALL_TEST_REAL_UP")
	if home == "" || up == "" {
		t.Fatal("no jars of Kafka: run `make proof`, or `make real-up` first")
	}
	c := &cluster{t: t, classes: filepath.Dir(up) + ":" + filepath.Join(home, "*"), log4j: filepath.Join(filepath.Dir(up), "log4j2.properties"), nodes: make([]node, nodes)}
	folder := t.TempDir()
	var voters []string
	controllers := make([]string, nodes)
	for i := range c.nodes {
		controllers[i] = freeAddress(t)
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, controllers[i]))
	}
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:22]
	for i := range c.nodes {
		n := &c.nodes[i]
		listens := freeAddress(t)
		n.address = listens
		if behind != nil {
			n.address = behind(listens)
		}
		n.conf, n.log = filepath.Join(folder, fmt.Sprintf("node-%d.properties", i+1)), filepath.Join(folder, fmt.Sprintf("node-%d.log", i+1))
		properties, listeners, protocols, format := "", "", "", []string(nil)
		for _, o := range more {
			properties += o.properties
			listeners += "," + o.protocol + "://" + o.address
			protocols += "," + o.protocol + ":" + o.protocol
			format = append(format, o.format...)
		}
		conf := fmt.Sprintf(`process.roles=broker,controller
node.id=%[1]d
listeners=PLAINTEXT://%[2]s,CONTROLLER://%[3]s%[10]s
advertised.listeners=PLAINTEXT://%[4]s%[10]s
controller.listener.names=CONTROLLER
controller.quorum.voters=%[5]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT%[11]s
log.dirs=%[6]s
offsets.topic.replication.factor=%[7]d
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=%[7]d
transaction.state.log.min.isr=%[8]d
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=%[7]d
share.coordinator.state.topic.min.isr=%[8]d
min.insync.replicas=%[8]d
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
%[9]s
broker.session.timeout.ms=6000
`, i+1, listens, controllers[i], n.address, strings.Join(voters, ","), filepath.Join(folder, fmt.Sprintf("data-%d", i+1)), nodes, nodes/2+1,
			properties, listeners, protocols)
		if err := os.WriteFile(n.conf, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := c.java(append([]string{"kafka.tools.StorageTool", "format", "-t", id, "-c", n.conf}, format...)...).CombinedOutput(); err != nil {
			t.Fatalf("formatting Kafka's storage: %v\n%s", err, out)
		}
	}
	for i := range c.nodes {
		c.start(i)
		t.Cleanup(func() { c.kill(i) })
	}
	for i := range c.nodes {
		c.up(i)
	}
	return c
}

func (c *cluster) java(args ...string) *exec.Cmd {
	java := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	// A node outlives the context of what starts it.
	return exec.CommandContext(context.WithoutCancel(c.t.Context()), java, append([]string{"-Xms128m", "-Xmx512m",
		"-Dlog4j2.configurationFile=" + c.log4j, "-cp", c.classes}, args...)...)
}

func (c *cluster) start(i int) {
	c.t.Helper()
	n := &c.nodes[i]
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	n.cmd, n.done = c.java("kafka.Kafka", n.conf), make(chan struct{})
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(n.cmd, n.done)
}

// up waits until a node serves.
func (c *cluster) up(i int) {
	c.t.Helper()
	n := &c.nodes[i]
	wait(c.t, fmt.Sprintf("node %d to serve", i+1), func() bool {
		select {
		case <-n.done:
			text, _ := os.ReadFile(n.log)
			c.t.Fatalf("node %d ended:\n%s", i+1, text)
		default:
		}
		text, _ := os.ReadFile(n.log)
		if !bytes.Contains(text, []byte("Kafka Server started")) {
			return false
		}
		conn, err := net.Dial("tcp", n.address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// kill is kill −9.
func (c *cluster) kill(i int) {
	_ = c.nodes[i].cmd.Process.Signal(syscall.SIGKILL)
	<-c.nodes[i].done
}

func (c *cluster) config() kafka.Config {
	k := kafka.Config{EnsureTopics: true, TopicReplication: len(c.nodes), Session: 6 * time.Second, FetchWait: 500 * time.Millisecond}
	for _, n := range c.nodes {
		k.Brokers = append(k.Brokers, n.address)
	}
	return k
}

// whole waits until every partition has all of its replicas again.
func (c *cluster) whole(adm *kadm.Client) {
	c.t.Helper()
	wait(c.t, "all replicas to be in sync", func() bool {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		defer cancel()
		topics, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return false
		}
		for _, t := range topics {
			for _, p := range t.Partitions {
				if len(p.ISR) < len(c.nodes) || p.Leader < 0 {
					return false
				}
			}
		}
		return true
	})
}

func TestProofThatHardKillsOfOneBrokerOfThreeLoseNothing(t *testing.T) {
	c := newCluster(t, 3, nil)
	k := c.config()
	makeTopics(t, k)
	s := newStage(t, t.TempDir(), k, realDatabase(t))
	s.env = append(s.env, "AFTERCALL_TOPIC_REPLICATION=3")
	adm := kafkatest.Admin(t, k)
	r := newReceiver(t, listen.Options{Delay: 5 * time.Millisecond})
	u := newUpstream(t, s.kafka)
	s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
	for _, name := range []string{"router", "projector"} {
		s.start(name)
	}
	s.start("sender", append([]string{"AFTERCALL_STATIC_INSTANCE=true"}, open...)...)
	stop := u.sustain(topic.CDRQueue, 200)
	n, limit := kills(t, 20), 0
	var back recovery
	for kill := range n {
		c.whole(adm)
		moment(3 * time.Second)
		// A sender that is cut off from its group makes again what it could not
		// commit.
		limit += inFlight + int(float64(rate(r.since(10*time.Second)))*5)
		c.kill(kill % len(c.nodes))
		before := r.requests()
		back.until(t, "requests after the kill", func() bool { return r.requests() > before+inFlight })
		c.start(kill % len(c.nodes))
		c.up(kill % len(c.nodes))
	}
	total := stop()
	s.settled(r, total)
	report := s.judge(u, r, limit)
	note(t, proven{"kill −9 of one broker of three", "real Kafka (3 nodes), PostgreSQL", n, total, lost(report), report.Repeats, limit, back.String()})
}

// makeTopics makes the topics as services would.
func makeTopics(t *testing.T, k kafka.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := kafka.Ensure(ctx, kafkatest.Admin(t, k), topic.All(), kafka.EnsureOptions{Replication: k.TopicReplication}); err != nil {
		t.Fatal(err)
	}
}
