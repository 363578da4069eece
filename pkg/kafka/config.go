// Package kafka is how every part of Aftercall connects to Kafka: one place for
// the settings that its guarantees rest on.
//
// What it guarantees to the clients built from a [Config]:
//
//   - Readers see committed records only, and never jump: a partition whose
//     position is not in the log any more becomes an error, not a reset.
//   - Producers are idempotent, wait for all in-sync replicas, and never drop a
//     record because a time or a number of tries ran out.
//   - Records as large as the CDR cap plus [Overhead] pass, larger ones are
//     refused by the client before they reach the broker.
//   - A wrong broker address is an error that names the address within a second
//     ([Ping]), not a silence.
//   - A group that comes back to a log that lost or dropped what it had
//     committed stops, or says which records are gone ([Config.GuardOffsets]).
package kafka

import (
	"context"
	"errors"
	"math"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/config"
)

const (
	// DefaultMaxRecordBytes is the cap of a CDR when nothing else is configured.
	DefaultMaxRecordBytes = 1 << 20
	// leastMaxRecordBytes and mostMaxRecordBytes are what that cap can be set to:
	// room for a small CDR, and what a client takes in one fetch.
	leastMaxRecordBytes = 1 << 10
	mostMaxRecordBytes  = fetchMaxBytes
	// Overhead is what an internal record may add to the CDR that it carries.
	Overhead = 256 << 10

	maxDecompressBatchBytes = 64 << 20
	fetchMaxBytes           = 8 << 20
	pingTimeout             = time.Second
	dialTimeout             = 5 * time.Second
)

// Config says where Kafka is and how to talk to it. The zero value of each field
// but Brokers is a sound default.
type Config struct {
	Brokers  []string `env:"BROKERS" envSeparator:","`
	ClientID string   `env:"CLIENT_ID"`
	Security Security
	// MaxRecordBytes is the cap of one CDR; every topic of ours allows Overhead
	// more.
	MaxRecordBytes int `env:"MAX_RECORD_BYTES" envDefault:"1048576"`
	// EnsureTopics creates topics that do not exist; otherwise a missing one is
	// refused.
	EnsureTopics bool `env:"ENSURE_TOPICS" envDefault:"true"`
	// TopicReplication of topics created, 0 for the broker's default.
	TopicReplication int `env:"TOPIC_REPLICATION"`
	// StartAt says where a group that never committed begins: "earliest",
	// "latest" or an RFC 3339 time; see [Config.Begin]. Empty begins at the start
	// of a log, and refuses to guess where that is no longer offset 0.
	StartAt string `env:"START_AT"`

	// Embedded says that the broker is the embedded one, whose topics have fewer
	// partitions, keep everything and compact nothing.
	Embedded bool `env:"-"`
	// Dialer replaces the network, for tests on a virtual one.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error) `env:"-"`
	Logger *zap.Logger                                                       `env:"-"`

	// Uncompressed leaves batches as they are, for simulations, where compressing
	// would be most of the work.
	Uncompressed bool `env:"-"`
	// Session is how long a group waits for a member that fell silent, 10 s when
	// zero. Heartbeat, a quarter of it, FetchWait, 500 ms, and MetadataAge, 5 min, are
	// raised in simulations on a fake clock, where each wakeup costs.
	Session     time.Duration `env:"-"`
	Heartbeat   time.Duration `env:"-"`
	FetchWait   time.Duration `env:"-"`
	MetadataAge time.Duration `env:"-"`
}

// Check refuses what no deployment can mean.
func (c Config) Check() error {
	return errors.Join(
		config.Between("MAX_RECORD_BYTES", c.MaxRecordBytes, leastMaxRecordBytes, mostMaxRecordBytes),
		config.Between("TOPIC_REPLICATION", c.TopicReplication, 0, math.MaxInt16),
	)
}

// CDRCap is the largest CDR accepted, in bytes.
func (c Config) CDRCap() int {
	if c.MaxRecordBytes <= 0 {
		return DefaultMaxRecordBytes
	}
	return c.MaxRecordBytes
}

// RecordCap is the largest record that topics of ours allow, in bytes.
func (c Config) RecordCap() int { return c.CDRCap() + Overhead }

func (c Config) logger() *zap.Logger {
	if c.Logger == nil {
		return zap.NewNop()
	}
	return c.Logger
}

// Opts are the options of any client: where the brokers are, what is read and
// how large it may be. A client that consumes adds its topics or [Config.Group],
// one that produces adds [Config.Producer].
func (c Config) Opts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(fetchMaxBytes),
		kgo.FetchMaxPartitionBytes(int32(min(fetchMaxBytes, max(1<<20, c.RecordCap())))),
		kgo.MaxDecompressBatchBytes(maxDecompressBatchBytes),
		kgo.ProducerBatchMaxBytes(int32(c.RecordCap())),
		kgo.DisableClientMetrics(),
		// By default a client believes for 5 s what it was told of a topic that
		// was just made or has just moved.
		kgo.MetadataMinAge(250 * time.Millisecond),
		// The client's own guess, that a connection cut before its first answer is
		// a misconfiguration and no use trying again, is wrong on a bad network.
		// Whether TLS and SASL fit is found out by [Ping], which gives up soon.
		kgo.AlwaysRetryEOF(),
		kgo.RequestTimeoutOverhead(10 * time.Second),
	}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	if dial := c.Security.dial(c.Dialer); dial != nil {
		opts = append(opts, kgo.Dialer(dial))
	} else {
		opts = append(opts, kgo.DialTimeout(dialTimeout))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(kzap.New(c.Logger, kzap.Level(kgo.LogLevelWarn))))
	}
	wait := c.FetchWait
	if wait <= 0 {
		// A partition that becomes readable while a fetch of its quiet
		// neighbours waits is read only after that fetch: by default a start or
		// a rebalance would stand still for up to 5 s. Data that comes ends the
		// wait in any case.
		wait = 500 * time.Millisecond
	}
	opts = append(opts, kgo.FetchMaxWait(wait))
	if c.MetadataAge > 0 {
		// Connections last as long: reaping and dialling them costs wakeups too.
		opts = append(opts, kgo.MetadataMaxAge(c.MetadataAge), kgo.ConnIdleTimeout(min(c.MetadataAge, 15*time.Minute)))
	}
	return append(opts, c.Security.sasl()...)
}

// Producer are the further options of a client whose records must not get lost:
// idempotent, acknowledged by all in-sync replicas, tried for as long as the
// caller's context and the client live.
func (c Config) Producer() []kgo.Opt {
	compression := []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.NoCompression()}
	if c.Uncompressed {
		compression = compression[1:]
	}
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(compression...),
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.MaxBufferedRecords(20_000),
		kgo.MaxBufferedBytes(128 << 20),
	}
}

// GroupOptions are what distinguishes one consumer group's member.
type GroupOptions struct {
	Group  string
	Topics []string
	// Instance is the static member id. Set it only where the name is stable
	// and unique over restarts: a member that comes back under its name takes
	// up its partitions at once, instead of after a session.
	Instance string
	// OnStop is called when the log does not fit what the group has committed;
	// the process must then end. See [Config.GuardOffsets].
	OnStop func(error)
}

// Group are the options of a member of a consumer group. Nothing is committed
// unless the caller does so.
func (c Config) Group(o GroupOptions) []kgo.Opt {
	session, heartbeat := c.Session, c.Heartbeat
	if session == 0 {
		session = 10 * time.Second
	}
	if heartbeat == 0 {
		heartbeat = session / 4
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(heartbeat),
		kgo.RebalanceTimeout(max(15*time.Second, session)),
		kgo.DisableAutoCommit(),
		kgo.AdjustFetchOffsetsFn(c.GuardOffsets(o.Group, o.OnStop)),
	}
	if o.Instance != "" {
		opts = append(opts, kgo.InstanceID(o.Instance))
	}
	return opts
}
