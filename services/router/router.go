// Package router turns CDRs into events and deliveries.
//
//	aftercall.cdr.* ──► decode ──► match subscriptions ──► aftercall.events       (one per CDR)
//	                      │                            └─► aftercall.deliveries   (one per CDR and subscription)
//	                      └─► aftercall.rejected           (what cannot be a CDR, with the reason)
//
// Each batch is one Kafka transaction together with the position in the CDR
// topics: a read_committed reader sees every CDR once, over crashes, rebalances
// and second instances. It needs Kafka only. Subscriptions come from their topic,
// read to the end before the first CDR, and followed from then on.
package router

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/feed"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/router/internal/route"
	"github.com/aftercall/aftercall/services/router/internal/transact"
)

// Names of the health checks.
const (
	CheckKafka         = "router.kafka"
	CheckSubscriptions = "router.subscriptions"
)

// ErrFenced is what Run returns when another router uses the same instance name.
var ErrFenced = transact.ErrFenced

// Config of the router.
type Config struct {
	Kafka kafka.Config
	// Instance names this router: stable over restarts, unique in the cluster.
	// The host's name when empty.
	Instance string `env:"INSTANCE"`
	// Sources maps further topics to the event type of their records, such as
	// contoso.queue.v2=App.QueueWebhook.
	Sources map[string]string `env:"SOURCES" envSeparator:"," envKeyValSeparator:"="`
	// OUSeparator stands between the units of an OU path.
	OUSeparator string `env:"OU_SEPARATOR" envDefault:"/"`
}

// Check refuses sources that are none.
func (c Config) Check() error {
	if err := topic.CheckSources(c.Sources); err != nil {
		return fmt.Errorf("AFTERCALL_SOURCES: %w", err)
	}
	return nil
}

// Deps are what the router is given.
type Deps struct {
	Logger   *zap.Logger
	Registry prometheus.Registerer
	Health   *lifecycle.Health
	// Tracer traces each CDR; nil traces none.
	Tracer *telemetry.Tracer
}

// Run routes until ctx ends, which is no error, or until something must be
// changed that no retry can mend; the error says what.
func Run(ctx context.Context, c Config, d Deps) error {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Health == nil {
		d.Health = lifecycle.NewHealth()
	}
	d.Health.Register(CheckKafka)
	d.Health.Register(CheckSubscriptions)
	if c.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("naming the instance: %w; set AFTERCALL_INSTANCE", err)
		}
		c.Instance = host
	}
	if c.Kafka.ClientID == "" {
		c.Kafka.ClientID = "aftercall-router-" + c.Instance
	}
	if c.Kafka.Logger == nil {
		c.Kafka.Logger = d.Logger.Named("kafka")
	}
	if err := kafka.Prepare(ctx, c.Kafka, topic.All()); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to end before it began
		}
		d.Health.Set(CheckKafka, err)
		return err
	}

	index := subscription.NewIndexWithSeparator(c.OUSeparator)
	subscriptions, err := feed.New(c.Kafka, index.Put)
	if err != nil {
		return err
	}
	sources := maps.Clone(topic.Sources)
	maps.Copy(sources, c.Sources)
	topics := slices.Sorted(maps.Keys(sources))
	if err := c.Kafka.Begin(ctx, topic.GroupRouter, topics); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to end before it began
		}
		return err
	}
	loop := transact.New(
		transact.Config{Kafka: c.Kafka, Group: topic.GroupRouter, Topics: topics, Instance: c.Instance, Tracer: d.Tracer},
		&route.Router{Subscriptions: known{index, subscriptions}, Sources: sources, MaxBytes: c.Kafka.CDRCap()},
		transact.NewMetrics(d.Registry),
		d.Logger,
		func(err error) { d.Health.Set(CheckKafka, err) },
	)
	return lifecycle.Run(ctx, map[string]func(context.Context) error{
		"subscriptions": subscriptions.Run,
		"routing": func(ctx context.Context) error {
			// A CDR matched before all subscriptions are known would be lost
			// for those that are not.
			select {
			case <-ctx.Done():
				return nil
			case <-subscriptions.Ready():
			}
			d.Health.Set(CheckSubscriptions, subscriptions.Err())
			d.Logger.Info("router.started", zap.String("instance", c.Instance), zap.Int64("subscriptions_offset", subscriptions.Offset()))
			return loop.Run(ctx)
		},
		"subscriptions health": func(ctx context.Context) error {
			return watch(ctx, subscriptions, d.Health, max(5*time.Second, c.Kafka.Heartbeat))
		},
	})
}

// watch shows a subscription that cannot be read.
func watch(ctx context.Context, f *feed.Feed, h *lifecycle.Health, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			select {
			case <-f.Ready():
				h.Set(CheckSubscriptions, f.Err())
			default:
			}
		}
	}
}

// known is what routing asks of the subscriptions: matching from the index, the
// rest from the feed that fills it.
type known struct {
	index *subscription.Index
	feed  *feed.Feed
}

func (k known) Match(eventType, ouPath string) []subscription.Match {
	return k.index.Match(eventType, ouPath)
}
func (k known) Get(id string) (*subscription.Subscription, bool) { return k.feed.Get(id) }
func (k known) Offset() int64                                    { return k.feed.Offset() }
