// Package projector puts what happened into the store.
//
//	aftercall.events   ─┐
//	aftercall.rejected ─┼─► decode ─► reduce per delivery ─► one transaction: rows and offsets
//	aftercall.history  ─┘
//
// Every record is in the store once, whatever is killed when: offsets move in
// the transaction that writes the rows, by compare-and-set, and the store's
// offsets are where reading begins. Records may come in any order of topics. A
// record that cannot be read or stored becomes a visible rejection; one of a
// later version stops the projector. While the database is away it waits and
// says so; nothing else in Aftercall waits with it.
package projector

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector/internal/retention"
	"github.com/aftercall/aftercall/services/projector/internal/write"
)

// Names of the health checks.
const (
	CheckKafka    = "projector.kafka"
	CheckDatabase = "projector.database"
)

// ErrLog is what Run returns when the store's offsets do not fit the topics.
var ErrLog = write.ErrLog

// Config of the projector.
type Config struct {
	Kafka kafka.Config
	// Instance is a name that is stable over restarts and unique among the
	// projectors: with it a projector that comes back takes up its partitions
	// at once. Empty where names change.
	Instance string `env:"INSTANCE"`
	// How long what is kept: see store.Retention. 0 keeps for ever.
	KeepPayloads time.Duration `env:"KEEP_PAYLOADS" envDefault:"720h"`
	KeepHistory  time.Duration `env:"KEEP_HISTORY" envDefault:"2160h"`
	KeepAudit    time.Duration `env:"KEEP_AUDIT" envDefault:"8760h"`
	// Keyset is the deployment's: under a key derived from it the store remembers
	// what was erased. Without it projecting stops once there is an erasure, rather
	// than bring back what was erased.
	Keyset string `env:"KEYSET"`
}

func (c Config) retention() store.Retention {
	return store.Retention{Payloads: c.KeepPayloads, History: c.KeepHistory, Audit: c.KeepAudit}
}

// Check refuses periods that no deployment can mean.
func (c Config) Check() error {
	if err := c.retention().Check(); err != nil {
		return fmt.Errorf("reading AFTERCALL_KEEP_PAYLOADS, AFTERCALL_KEEP_HISTORY and AFTERCALL_KEEP_AUDIT: %w", err)
	}
	return nil
}

// digests gives the store the keys of what was erased.
func (c Config) digests(s Store) error {
	keyed, ok := s.(interface{ SetDigester(k store.Digester) })
	if !ok || c.Keyset == "" {
		return nil
	}
	k, err := secret.Open([]byte(c.Keyset))
	if err != nil {
		return fmt.Errorf("opening AFTERCALL_KEYSET: %w", err)
	}
	keyed.SetDigester(k)
	return nil
}

// WithDefaults sets the periods for which a deployment keeps what it has, for who
// does not read the environment.
func (c Config) WithDefaults() Config {
	const day = 24 * time.Hour
	c.KeepPayloads, c.KeepHistory, c.KeepAudit = 30*day, 90*day, 365*day
	return c
}

// Store is where records go; *store.DB is one.
type Store = write.Store

// Deps are what the projector is given.
type Deps struct {
	Logger   *zap.Logger
	Registry prometheus.Registerer
	Health   *lifecycle.Health
	Store    Store
	// Tracer is nil where nobody wants spans.
	Tracer *telemetry.Tracer
	// Pruned is the store again, where what is past its period is to be deleted.
	Pruned retention.Store
}

// Run projects until ctx ends, which is no error, or until something must be
// changed that no retry can mend; the error says what.
func Run(ctx context.Context, c Config, d Deps) error {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Health == nil {
		d.Health = lifecycle.NewHealth()
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.digests(d.Store); err != nil {
		return err
	}
	d.Health.Register(CheckKafka)
	d.Health.Register(CheckDatabase)
	if c.Kafka.ClientID == "" {
		name := c.Instance
		if name == "" {
			name, _ = os.Hostname()
		}
		c.Kafka.ClientID = "aftercall-projector-" + name
	}
	if c.Kafka.Logger == nil {
		c.Kafka.Logger = d.Logger.Named("kafka")
	}
	if err := kafka.Prepare(ctx, c.Kafka, topic.All()); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being told to stop is no error
		}
		d.Health.Set(CheckKafka, err)
		return fmt.Errorf("preparing Kafka: %w", err)
	}
	d.Logger.Info("projector.started", zap.String("instance", c.Instance))
	projecting := write.New(
		write.Config{Kafka: c.Kafka, Group: topic.GroupProjector, Topics: []string{topic.Events, topic.Rejected, topic.History}, Instance: c.Instance, Tracer: d.Tracer},
		d.Store, write.NewMetrics(d.Registry), d.Logger,
		func(err error) { d.Health.Set(CheckKafka, err) },
		func(err error) { d.Health.Set(CheckDatabase, err) },
	).Run
	parts := map[string]func(context.Context) error{"projecting": projecting}
	if d.Pruned != nil {
		parts["retention"] = retention.New(d.Pruned, c.retention(), d.Registry, d.Logger).Run
	}
	return lifecycle.Run(ctx, parts)
}
