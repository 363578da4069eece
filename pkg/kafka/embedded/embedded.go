// Package embedded runs a broker that speaks the Kafka protocol inside the
// process: franz-go's kfake with the settings that make it safe to keep data in.
//
// With a folder it guarantees that an acknowledged record survives kill -9 and a
// power cut (every write is synced), that no second process writes to the same
// folder (a lock), and that the process ends at the first write that fails,
// before a commit that rests on that write is answered. Nothing is compacted, and
// nothing is deleted but by [Broker.Tend]: what is old and has been read. It is
// meant for trying out and for small installations; one goroutine serves all
// requests.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// ClusterID tells an embedded broker from a cluster: Kafka's own ids are random.
const ClusterID = "aftercall"

// Config of the broker. The zero value is a broker in memory on a free port of
// the loopback interface.
type Config struct {
	// Dir keeps the data, "" keeps it in memory only.
	Dir string
	// Listen is host:port, "127.0.0.1:0" when empty.
	Listen string
	// Advertise is the host:port that clients are told to connect to, the
	// address listened on when empty.
	Advertise string
	// ClusterID is what the broker says that it is, [ClusterID] when empty. Tests
	// that play a cluster give another.
	ClusterID string
	// VirtualNetwork replaces the real one, for tests under testing/synctest.
	// Use the Dialer of [Broker.Kafka] with it.
	VirtualNetwork *kfake.VirtualNetwork
	// ListenFn replaces net.Listen.
	ListenFn func(network, address string) (net.Listener, error)
	// MaxRecordBytes is the CDR cap, 0 for the default.
	MaxRecordBytes int
	// Limits of what is kept, see [Broker.Tend].
	Limits Limits
	Logger *zap.Logger
	// OnFatal is called, on the broker's own goroutine, at the first failed
	// write. It must not return: the broker would go on and commit offsets
	// whose records are not on disk. The default prints the error and exits
	// with status 1.
	OnFatal func(error)
}

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	config  Config
	lock    *os.File
	gate    gate
	closing sync.Once
}

// offsetsKept is a hundred years in minutes: the offsets of a group without members
// are never deleted. The broker counts in nanoseconds, of which 64 bits hold less
// than three hundred years; of more it makes a time that is over already.
const offsetsKept = "52560000"

// Start starts the broker and returns once it accepts connections and has read
// its folder. A port in use and a folder in use are errors that name them.
func Start(c Config) (*Broker, error) {
	switch {
	case c.Listen != "":
	case c.VirtualNetwork != nil:
		c.Listen = "127.0.0.1:9092" // a virtual network hands out no ports
	default:
		c.Listen = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.OnFatal == nil {
		c.OnFatal = exit
	}
	b := &Broker{config: c}
	if c.Dir != "" {
		if err := b.lockDir(); err != nil {
			return nil, err
		}
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(cmp.Or(c.ClusterID, ClusterID)),
		kfake.ListenFn(b.listen),
		kfake.WithLogger(&logger{zap: c.Logger.Named("broker"), fatal: c.OnFatal}),
		kfake.GroupMinSessionTimeout(500 * time.Millisecond),
		kfake.GroupMaxSessionTimeout(time.Hour),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":              fmt.Sprint(16 << 20),
			"log.retention.ms":               "-1",
			"log.retention.bytes":            "-1",
			"offsets.retention.minutes":      offsetsKept,
			"transactional.id.expiration.ms": "2147483647",
			"default.replication.factor":     "1",
			"message.max.bytes":              fmt.Sprint(kafka.Config{MaxRecordBytes: c.MaxRecordBytes}.RecordCap()),
		}),
	}
	if c.Dir != "" {
		options = append(options, kfake.DataDir(c.Dir), kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		b.unlock()
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	b.cluster = cluster
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp, refused := b.gate.refuse(req)
		return resp, nil, refused
	})
	if c.Dir != "" {
		if err := b.abortTorn(); err != nil {
			b.Close()
			return nil, fmt.Errorf("ending transactions that were open at a crash: %w", err)
		}
	}
	return b, nil
}

// listen ignores the address that kfake asks for: it knows loopback only.
func (b *Broker) listen(network, _ string) (net.Listener, error) {
	listen := net.Listen
	switch {
	case b.config.ListenFn != nil:
		listen = b.config.ListenFn
	case b.config.VirtualNetwork != nil:
		listen = b.config.VirtualNetwork.Listen
	}
	l, err := listen(network, b.config.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listening on %s: another process uses this port already: %w", b.config.Listen, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", b.config.Listen, err)
	}
	b.addr = l.Addr().String()
	if b.config.Advertise != "" {
		b.addr = b.config.Advertise
		l = advertised{l, address(b.config.Advertise)}
	}
	return l, nil
}

// advertised is a listener that clients know under another address.
type advertised struct {
	net.Listener
	addr net.Addr
}

func (a advertised) Addr() net.Addr { return a.addr }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// Addr is the host:port to connect to.
func (b *Broker) Addr() string { return b.addr }

// Cluster is the broker itself, for fault injection.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Kafka is the configuration that connects to this broker.
func (b *Broker) Kafka() kafka.Config {
	c := kafka.Config{
		Brokers:        []string{b.addr},
		MaxRecordBytes: b.config.MaxRecordBytes,
		EnsureTopics:   true,
		Embedded:       true,
	}
	if v := b.config.VirtualNetwork; v != nil {
		c.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return v.DialContext(ctx, network, addr)
		}
	}
	return c
}

// Close ends all connections, saves the state and unlocks the folder. It may be
// called more than once.
func (b *Broker) Close() {
	b.closing.Do(func() {
		b.cluster.Close()
		b.unlock()
	})
}

func (b *Broker) lockDir() error {
	if err := os.MkdirAll(b.config.Dir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	f, err := lock(filepath.Join(b.config.Dir, "aftercall.lock"))
	if err != nil {
		return fmt.Errorf("locking the data folder %s: %w", b.config.Dir, err)
	}
	b.lock = f
	return nil
}

func (b *Broker) unlock() {
	if b.lock != nil {
		b.lock.Close()
	}
}

// ErrLocked says that another process uses the data folder.
var ErrLocked = errors.New("another process uses it; stop that one, or choose another folder")

// logger passes kfake's messages on and catches those that mean lost data. kfake
// carries on after a failed write, and logs before it writes the offsets of the
// same transaction: ending the process inside the call is what keeps both apart.
type logger struct {
	zap   *zap.Logger
	fatal func(error)
}

func (l *logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if failedWrite(format) {
		l.fatal(fmt.Errorf("the embedded broker could not write: "+format, args...))
		return
	}
	if strings.Contains(format, "slow") {
		// A disk takes its time: nothing that anybody has to do anything about.
		l.zap.Debug("broker.slow", zap.String("message", fmt.Sprintf(format, args...)))
		return
	}
	switch level {
	case kfake.LogLevelError:
		l.zap.Error("broker.error", zap.String("message", fmt.Sprintf(format, args...)))
	case kfake.LogLevelWarn:
		l.zap.Warn("broker.warning", zap.String("message", fmt.Sprintf(format, args...)))
	}
}

// failedWrite recognises kfake's messages by the beginning of their formats.
func failedWrite(format string) bool {
	if strings.HasPrefix(format, "persist to disk") {
		return false // on Close: everything was synced before
	}
	for _, prefix := range []string{"persist ", "endTx: failed to persist", "compact pids.log", "compact groups.log", "rebuildSegments "} {
		if strings.HasPrefix(format, prefix) {
			return true
		}
	}
	return false
}

func exit(err error) {
	fmt.Fprintf(os.Stderr, "aftercall: %v\naftercall: stopping, so that nothing is acknowledged that is not on disk; free space or repair the disk, then start again\n", err)
	os.Exit(1)
}
