// Package kafkatest gives tests a broker that speaks the real protocol.
//
// What is real: the protocol, transactions, groups, and the clients. [Start] runs
// the embedded broker in memory, with all topics made; [StartVirtual] runs it on
// a virtual network, for tests under testing/synctest; [Real] is the Kafka named
// by AFTERCALL_TEST_KAFKA, emptied of everything of Aftercall's at the start of
// each test. [OnBoth] runs one test body on the embedded and on the real one.
//
// What is doubled: nothing. What may be asserted: what a read_committed reader
// sees. No order between partitions may be assumed.
package kafkatest

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/topic"
)

// Patience is how long the helpers wait before they fail a test.
const Patience = time.Minute

// Broker is an embedded broker that ends with its test.
type Broker struct {
	Addr     string
	embedded *embedded.Broker
	config   kafka.Config
}

// Config connects to the broker. Sessions are short, so that tests need not
// wait.
func (b *Broker) Config() kafka.Config { return b.config }

// Cluster is the broker itself, for fault injection.
func (b *Broker) Cluster() *kfake.Cluster { return b.embedded.Cluster() }

// Close stops the broker before the end of the test.
func (b *Broker) Close() { b.embedded.Close() }

// Start runs an embedded broker in memory, with all topics made. Options change
// its configuration, for example to give it a folder.
func Start(t testing.TB, options ...func(*embedded.Config)) *Broker {
	t.Helper()
	c := embedded.Config{OnFatal: func(err error) { t.Errorf("embedded broker: %v", err) }}
	for _, o := range options {
		o(&c)
	}
	e, err := embedded.Start(c)
	if err != nil {
		t.Fatalf("starting the embedded broker: %v", err)
	}
	t.Cleanup(e.Close)
	b := &Broker{Addr: e.Addr(), embedded: e, config: e.Kafka()}
	b.config.Session = 6 * time.Second
	b.config.FetchWait = 500 * time.Millisecond
	ensure(t, b.config)
	return b
}

// StartVirtual runs an embedded broker on a virtual network. Call it inside the
// bubble of testing/synctest. Heartbeats and waits are long, since each wakeup
// costs real time, but end well within [Patience]: a partition that is assigned
// while a fetch waits is read only after it.
func StartVirtual(t testing.TB, options ...func(*embedded.Config)) *Broker {
	t.Helper()
	b := Start(t, append([]func(*embedded.Config){func(c *embedded.Config) {
		c.VirtualNetwork = &kfake.VirtualNetwork{}
	}}, options...)...)
	b.config.Uncompressed = true
	b.config.Session = 5 * time.Minute
	b.config.Heartbeat = Patience / 3
	b.config.FetchWait = Patience / 3
	b.config.MetadataAge = time.Hour
	return b
}

func ensure(t testing.TB, c kafka.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	adm := kadm.NewClient(Client(t, c))
	if err := kafka.Ensure(ctx, adm, topic.All(), kafka.EnsureOptions{Embedded: c.Embedded, Replication: 1, MaxRecordBytes: c.MaxRecordBytes}); err != nil {
		t.Fatalf("ensuring topics: %v", err)
	}
	// A real broker answers that a topic is made before it knows of it itself.
	names := make([]string, 0, 32)
	for _, s := range topic.All() {
		names = append(names, s.Name)
	}
	WaitFor(t, "the topics to be there", func() bool {
		made, err := adm.ListTopics(ctx, names...)
		if err != nil || made.Error() != nil {
			return false
		}
		ends, err := adm.ListEndOffsets(ctx, names...)
		return err == nil && ends.Error() == nil
	})
}

// Client connects to a broker until the end of the test.
func Client(t testing.TB, c kafka.Config, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(c.Opts(), options...)...)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// Admin connects an admin client until the end of the test.
func Admin(t testing.TB, c kafka.Config) *kadm.Client {
	t.Helper()
	return kadm.NewClient(Client(t, c))
}

// Produce writes records and returns them with their offsets once they are
// acknowledged.
func Produce(t testing.TB, c kafka.Config, records ...*kgo.Record) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		t.Fatalf("making a producer: %v", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("producing: %v", err)
	}
	return records
}

// CDR is a record as an upstream would produce it. Headers are pairs of key and
// value.
func CDR(topicName, key, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topicName, Value: []byte(value)}
	if key != "" {
		r.Key = []byte(key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

// ReadAll returns what a read_committed reader sees of the topics from their
// start once every transaction that is open now has ended. A broker writes the
// markers of one transaction partition by partition: without the wait, a test
// that saw its event could look for the delivery too early.
func ReadAll(t testing.TB, c kafka.Config, topics ...string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	client, err := kgo.NewClient(append(c.Opts(), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		t.Fatalf("making a reader: %v", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	starts, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		t.Fatalf("listing start offsets: %v", err)
	}
	stable := stableEnds(ctx, t, adm, topics)
	left := map[string]map[int32]int64{}
	from := map[string]map[int32]kgo.Offset{}
	open := 0
	stable.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if end.Err != nil || start.Err != nil {
			t.Fatalf("listing offsets of %s/%d: %v, %v", end.Topic, end.Partition, end.Err, start.Err)
		}
		if end.Offset <= start.Offset {
			return
		}
		if left[end.Topic] == nil {
			left[end.Topic], from[end.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[end.Topic][end.Partition] = end.Offset
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		open++
	})
	if open == 0 {
		return nil
	}
	client.AddConsumePartitions(from)
	var records []*kgo.Record
	for open > 0 {
		// As long as records come, there may be any number of them.
		patient, enough := context.WithTimeout(context.Background(), Patience)
		fetches := client.PollFetches(patient)
		enough()
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading: %v; %d records came, not the last one before %v", err, len(records), left)
		}
		fetches.EachError(func(name string, p int32, err error) { t.Fatalf("reading %s/%d: %v", name, p, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := left[r.Topic][r.Partition]
			if !reading || r.Offset >= end {
				return
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset == end-1 {
				delete(left[r.Topic], r.Partition)
				open--
			}
		})
	}
	return records
}

// stableEnds returns the last stable offsets of the topics once they have
// reached what is written now. A transaction that is ending is waited for: whoever
// saw a part of it sees all of it. One that stays open is given 3 s: when its owner
// is dead, it ends only when a test starts the next one.
func stableEnds(ctx context.Context, t testing.TB, adm *kadm.Client, topics []string) kadm.ListedOffsets {
	t.Helper()
	written, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		t.Fatalf("listing end offsets: %v", err)
	}
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		givenUp := time.Now().After(deadline) && !anyEnding(ctx, adm)
		stable, err := adm.ListCommittedOffsets(ctx, topics...)
		if err != nil {
			t.Fatalf("listing stable offsets: %v", err)
		}
		settled := true
		written.Each(func(end kadm.ListedOffset) {
			at, _ := stable.Lookup(end.Topic, end.Partition)
			settled = settled && at.Offset >= end.Offset
		})
		if settled || givenUp {
			return stable
		}
	}
}

// anyEnding says that a transaction has ended and not all partitions know it yet.
func anyEnding(ctx context.Context, adm *kadm.Client) bool {
	ending, err := adm.ListTransactions(ctx, nil, []string{"PrepareCommit", "PrepareAbort"})
	return err == nil && len(ending) > 0
}

// StableEnds are the offsets of the topics up to which a read_committed reader
// sees everything, once every transaction that is open now has ended.
func StableEnds(t testing.TB, c kafka.Config, topics ...string) kadm.ListedOffsets {
	t.Helper()
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return stableEnds(ctx, t, kadm.NewClient(client), topics)
}

// WaitFor polls cond until it is true, and fails the test when it is not within
// [Patience]. what completes "waited for".
func WaitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	WaitWithin(t, Patience, what, cond)
}

// WaitWithin is WaitFor with a patience of its own.
func WaitWithin(t testing.TB, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// OnBoth runs one test body on the embedded broker and on the real one.
func OnBoth(t *testing.T, body func(t *testing.T, c kafka.Config)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { body(t, Start(t).Config()) })
	t.Run("real", func(t *testing.T) { body(t, Real(t)) })
}

const (
	realVariable    = "AFTERCALL_TEST_KAFKA"
	requireVariable = "AFTERCALL_REQUIRE_REAL"
)

// Real connects to the Kafka at AFTERCALL_TEST_KAFKA, alone on the machine until
// the end of the test, after removing every topic, group and transaction of
// Aftercall's there. Without the variable the test is skipped, loudly, and fails
// when AFTERCALL_REQUIRE_REAL is 1.
func Real(t testing.TB) kafka.Config {
	t.Helper()
	addr := os.Getenv(realVariable)
	if addr == "" {
		const how = "NOT RUN on a real Kafka: run `make real-up`, then `make test-real` (or set " + realVariable + "=host:port)"
		if os.Getenv(requireVariable) == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	if host, _, err := net.SplitHostPort(addr); err != nil {
		t.Fatalf("%s is %q: %v", realVariable, addr, err)
	} else if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		t.Fatalf("%s is %q: tests delete topics, so only a broker on this machine is accepted", realVariable, addr)
	}
	alone(t)
	c := kafka.Config{Brokers: []string{addr}, EnsureTopics: true, TopicReplication: 1, Session: 6 * time.Second, FetchWait: 500 * time.Millisecond}
	ctx, cancel := context.WithTimeout(context.Background(), 2*Patience)
	defer cancel()
	if err := kafka.Ping(ctx, c); err != nil {
		t.Fatal(err)
	}
	reset(ctx, t, c)
	ensure(t, c)
	return c
}
