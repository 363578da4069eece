package sender

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/feed"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/sender/internal/core"
	"github.com/aftercall/aftercall/services/sender/internal/engine"
	"github.com/aftercall/aftercall/services/sender/internal/mover"
	"github.com/aftercall/aftercall/services/sender/internal/post"
)

// Config of a sender.
type Config struct {
	Kafka kafka.Config
	// Instance names this sender in the history and, when StaticInstance is set,
	// in its consumer groups.
	Instance string `env:"INSTANCE"`
	// StaticInstance says that Instance is unique and stable over restarts, so
	// that a sender that comes back takes up its work at once.
	StaticInstance bool `env:"STATIC_INSTANCE"`
	// MaxInFlight bounds the requests under way.
	MaxInFlight int `env:"MAX_IN_FLIGHT" envDefault:"512"`
}

// mostInFlight is more than one process can have connections for.
const mostInFlight = 100_000

// Check refuses what no deployment can mean: with none under way nothing would ever
// be sent.
func (c Config) Check() error { return config.Between("MAX_IN_FLIGHT", c.MaxInFlight, 1, mostInFlight) }

// Deps are what a sender works with.
type Deps struct {
	Logger   *zap.Logger
	Registry prometheus.Registerer
	Health   *lifecycle.Health
	// Keyset opens secrets and secret header values.
	Keyset *secret.Keyset
	// Transport makes the requests. It connects only where the deployment allows.
	Transport http.RoundTripper
	// Tracer traces each attempt; nil traces none.
	Tracer *telemetry.Tracer
	// Version for the user agent.
	Version string
}

// Run delivers until ctx ends, then finishes what has begun, commits and leaves.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	for _, name := range []string{"sender.subscriptions", "sender.keyset", "sender.group"} {
		deps.Health.Register(name)
	}
	if err := kafka.Prepare(ctx, cfg.Kafka, topic.All()); err != nil {
		return err
	}
	for group, topics := range map[string][]string{topic.GroupSender: {topic.Deliveries}, topic.GroupMover: topic.DelayTopics()} {
		if err := cfg.Kafka.Begin(ctx, group, topics); err != nil {
			return err
		}
	}
	partitions, err := partitions(ctx, cfg.Kafka)
	if err != nil {
		return err
	}
	poster := post.New(deps.Transport, deps.Keyset, deps.Version)
	poster.Tracer = deps.Tracer
	subscriptions, err := feed.New(cfg.Kafka, func(s *subscription.Subscription) {
		if s.Deleted {
			poster.Forget(s.ID)
		}
	})
	if err != nil {
		return err
	}
	meter := engine.NewMeter(deps.Registry)
	instance := ""
	if cfg.StaticInstance {
		instance = cfg.Instance
	}
	return lifecycle.Run(ctx, map[string]func(context.Context) error{
		"following subscriptions": subscriptions.Run,
		"delivering": func(ctx context.Context) error {
			if !await(ctx, subscriptions, poster, deps) {
				return nil
			}
			e, err := engine.New(engine.Config{
				Kafka: cfg.Kafka, Instance: cfg.Instance, Static: cfg.StaticInstance, Partitions: partitions,
				Core: core.Config{MaxInFlight: cfg.MaxInFlight},
			}, subscriptions, poster, meter, deps.Health, deps.Logger)
			if err != nil {
				return err
			}
			return e.Run(ctx)
		},
		"moving waiting deliveries": func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-subscriptions.Ready():
			}
			m, err := mover.New(cfg.Kafka, instance, subscriptions, deps.Registry, deps.Logger)
			if err != nil {
				return err
			}
			return m.Run(ctx)
		},
	})
}

// keyCheck spaces the looks at whether the keyset fits.
const keyCheck = time.Second

// await returns true when subscriptions are read and the keyset opens them: a
// sender with the wrong key takes no work. It returns false when ctx ended.
func await(ctx context.Context, subscriptions *feed.Feed, poster *post.Poster, deps Deps) bool {
	select {
	case <-ctx.Done():
		return false
	case <-subscriptions.Ready():
	}
	deps.Health.Set("sender.subscriptions", nil)
	every := time.NewTicker(keyCheck)
	defer every.Stop()
	said := false
	for {
		err := openable(subscriptions, poster)
		deps.Health.Set("sender.keyset", err)
		if err == nil {
			return true
		}
		if !said {
			deps.Logger.Error("sender.keyset.wrong", zap.Error(err))
			said = true
		}
		select {
		case <-ctx.Done():
			return false
		case <-every.C:
		}
	}
}

// openable says why none of the subscriptions' secrets can be opened. One that
// cannot be while others can is that subscription's trouble: its deliveries wait.
func openable(subscriptions *feed.Feed, poster *post.Poster) error {
	var failed error
	opened := false
	subscriptions.Each(func(s *subscription.Subscription) {
		if err := poster.Prepare(s); err != nil {
			failed = errors.Join(failed, fmt.Errorf("subscription %s: %w", s.ID, err))
		} else {
			opened = true
		}
	})
	if opened || failed == nil {
		return nil
	}
	return fmt.Errorf("AFTERCALL_KEYSET is not the keyset that sealed the subscriptions: %w", failed)
}

func partitions(ctx context.Context, c kafka.Config) (int, error) {
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return 0, fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	details, err := kadm.NewClient(client).ListTopics(ctx, topic.Deliveries)
	if err != nil {
		return 0, fmt.Errorf("listing the partitions of %s: %w", topic.Deliveries, err)
	}
	n := len(details[topic.Deliveries].Partitions)
	if n == 0 {
		return 0, fmt.Errorf("topic %s has no partitions: is it there?", topic.Deliveries)
	}
	return n, nil
}
