// Package dev is Aftercall in one process: an embedded broker that real
// producers can use, SQLite, the console, a sample receiver and a simulator. It
// runs the very services that a large installation runs, each by its own Run.
//
// It is for trying out and for small installations on one machine. What is
// acknowledged survives a kill −9: the broker syncs every write.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
	"github.com/aftercall/aftercall/pkg/telemetry"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/narrate"
	"github.com/aftercall/aftercall/services/aftercall/internal/simulate"
	"github.com/aftercall/aftercall/services/projector"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

// Options of a run.
type Options struct {
	// Data is the folder of broker, store and keys.
	Data string
	// Listen, KafkaListen and ReceiverListen are the addresses of console,
	// broker and sample receiver.
	Listen, KafkaListen, ReceiverListen string
	// Calls that the simulator makes; 0 for none, negative for ever.
	Calls int
	// AllowPrivate lets webhooks go to private networks.
	AllowPrivate bool
	// Limits of what the broker keeps.
	Limits embedded.Limits
	// Logger of the services.
	Logger *zap.Logger
	// Out is for people.
	Out io.Writer
}

// instance names the services of the one process in their groups: stable, so
// that a restart takes up its work at once.
const instance = "aftercall-dev"

// privateNetworks are what AllowPrivate opens.
var privateNetworks = []string{"10.0.0.0/8:*", "172.16.0.0/12:*", "192.168.0.0/16:*", "100.64.0.0/10:*", "fc00::/7:*"}

// Run runs everything until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	// Ports first: a busy one must be the first thing said.
	console, err := listen.Listen(ctx, o.Listen, "--listen")
	if err != nil {
		return err
	}
	defer console.Close()
	receiver, err := listen.Listen(ctx, o.ReceiverListen, "--receiver-listen")
	if err != nil {
		return err
	}
	defer receiver.Close()
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return fmt.Errorf("making the data folder (--data): %w", err)
	}
	broker, err := embedded.Start(embedded.Config{
		Dir: filepath.Join(o.Data, "broker"), Listen: o.KafkaListen, Limits: o.Limits, Logger: o.Logger.Named("broker"),
	})
	if err != nil {
		return fmt.Errorf("starting the broker (--kafka-listen %s, --data %s): %w", o.KafkaListen, o.Data, err)
	}
	defer broker.Close()
	db, err := sqlite.Open(ctx, filepath.Join(o.Data, "aftercall.db"), sqlite.Options{})
	if err != nil {
		return fmt.Errorf("opening the store in %s: %w", o.Data, err)
	}
	defer db.Close()
	keyset, _, err := secret.OpenOrCreateFile(filepath.Join(o.Data, "keyset.json"))
	if err != nil {
		return err
	}
	db.SetDigester(keyset)
	policyOptions := safedial.Options{
		AllowLoopback: true, AllowHTTPPort80: true,
		Deny: []string{console.Addr().String(), broker.Addr()},
	}
	if o.AllowPrivate {
		policyOptions.Allow = privateNetworks
	}
	policy, err := safedial.NewPolicy(policyOptions)
	if err != nil {
		return err
	}
	ports, every := policy.AllowedPorts()
	rules := webhook.URLRules{
		AllowHTTP: o.AllowPrivate, AllowHTTPLoopback: true, AllowAnyLoopbackPort: true, AllowPorts: ports, AllowAnyPort: every || o.AllowPrivate,
	}
	p := &process{
		o: o, broker: broker, kafka: broker.Kafka(), db: db, keyset: keyset, policy: policy, rules: rules,
		console: console, receiver: receiver, health: lifecycle.NewHealth(),
	}
	p.kafka.Logger = o.Logger.Named("dev").Named("kafka")
	return p.run(ctx)
}

type process struct {
	o        Options
	broker   *embedded.Broker
	kafka    kafka.Config
	db       *store.DB
	keyset   *secret.Keyset
	policy   *safedial.Policy
	rules    webhook.URLRules
	console  net.Listener
	receiver net.Listener
	health   *lifecycle.Health
}

func (p *process) run(ctx context.Context) error {
	if err := kafka.Prepare(ctx, p.kafka, topic.All()); err != nil {
		return err
	}
	registry := telemetry.NewRegistry("aftercall")
	tracer, err := telemetry.NewTracer(ctx, "dev", func(err error) { p.o.Logger.Warn("tracing.failed", zap.Error(err)) })
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := tracer.Close(last); err != nil {
			p.o.Logger.Warn("tracing.failed", zap.Error(err))
		}
	}()
	deps := admin.Deps{
		Logger: p.o.Logger.Named("admin"), Registry: registry, Health: p.health, Store: p.db, Keyset: p.keyset,
		Policy: p.policy, URLRules: p.rules, Listener: p.console,
		Mount: map[string]http.Handler{"GET /metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{})},
	}
	secrets, err := p.samples(ctx, deps)
	if err != nil {
		return err
	}
	if err := admin.PublishSubscriptions(ctx, p.kafkaOf("admin"), deps); err != nil {
		return fmt.Errorf("publishing the subscriptions: %w", err)
	}
	token, err := p.token(ctx)
	if err != nil {
		return err
	}
	link, err := admin.NewLoginLink(ctx, p.db)
	if err != nil {
		return err
	}
	services := map[string]func(context.Context) error{
		"broker": p.tend,
		"router": func(ctx context.Context) error {
			return router.Run(ctx, router.Config{Kafka: p.kafkaOf("router"), Instance: instance},
				router.Deps{Logger: p.o.Logger.Named("router"), Registry: registry, Health: p.health, Tracer: tracer})
		},
		"sender": func(ctx context.Context) error {
			return sender.Run(ctx, sender.Config{Kafka: p.kafkaOf("sender"), Instance: instance, StaticInstance: true, MaxInFlight: 512}, sender.Deps{
				Logger: p.o.Logger.Named("sender"), Registry: registry, Health: p.health, Keyset: p.keyset, Tracer: tracer, Version: telemetry.Version(),
				Transport: p.policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 512, MaxIdleConns: 4096}),
			})
		},
		"projector": func(ctx context.Context) error {
			return projector.Run(ctx, projector.Config{Kafka: p.kafkaOf("projector"), Instance: instance}.WithDefaults(),
				projector.Deps{Logger: p.o.Logger.Named("projector"), Registry: registry, Health: p.health, Store: p.db, Pruned: p.db, Tracer: tracer})
		},
		"admin": func(ctx context.Context) error {
			return admin.Run(ctx, admin.Config{Kafka: p.kafkaOf("admin"), FirstSteps: true}, deps)
		},
		"receiver": func(ctx context.Context) error {
			return listen.Serve(ctx, p.receiver, listen.Handler(listen.Options{Secrets: secrets}))
		},
	}
	var told sync.WaitGroup
	told.Add(1)
	services["narration"] = func(ctx context.Context) error {
		return narrate.Run(ctx, p.kafka, narrate.Options{Local: []string{p.receiver.Addr().String()}}, p.o.Out, told.Done)
	}
	if p.o.Calls != 0 {
		services["simulator"] = func(ctx context.Context) error {
			told.Wait()
			err := simulate.Run(ctx, simulate.Options{
				Brokers: p.kafka.Brokers, Calls: max(p.o.Calls, 0), Burst: 6, BurstOver: burstOver, Interval: callEvery, Progress: io.Discard,
				// The first calls are worth opening, whatever comes after them.
				Opening: []string{simulate.Transferred, simulate.Answered, simulate.Missed, simulate.Abandoned, simulate.Overflow, simulate.Answered},
			})
			if err == nil || errors.Is(err, simulate.ErrStopped) {
				// All calls are made, and the rest of the process goes on; or all of it ends.
				<-ctx.Done()
				return nil
			}
			return err
		}
	}
	if err := p.greet(token, link); err != nil {
		return err
	}
	return lifecycle.Run(ctx, services)
}

// kafkaOf is how a part reaches the broker: what its client says is that part's.
func (p *process) kafkaOf(part string) kafka.Config {
	c := p.kafka
	c.Logger = p.o.Logger.Named(part).Named("kafka")
	return c
}

// tend keeps the broker within its limits, and tells people when it refuses CDRs.
func (p *process) tend(ctx context.Context) error {
	const check = "broker.room"
	p.health.Register(check)
	refused := false
	return p.broker.Tend(ctx, func(err error) {
		p.health.Set(check, err)
		if (err != nil) != refused {
			refused = err != nil
			line := "There is room again: new CDRs are taken"
			if refused {
				line = err.Error()
			}
			_, _ = fmt.Fprintln(p.o.Out, line)
		}
	})
}

// greet prints where everything is.
func (p *process) greet(token, link string) error {
	_, err := fmt.Fprintf(p.o.Out, `Aftercall dev: embedded broker, for trying out and small installations
Console   http://%s/login?t=%s
Broker    %s     produce to aftercall.cdr.{queue,ivr,agent,recording}
Receiver  http://%s   /ok  /flaky (503 once)  /broken (500)
Data      %s   (delete to start again; API token in %s)
`, p.console.Addr(), link, p.kafka.Brokers[0], p.receiver.Addr(), p.o.Data, token)
	return err
}

// token makes the API token of this data folder valid and says where it is.
func (p *process) token(ctx context.Context) (string, error) {
	path := filepath.Join(p.o.Data, "admin.token")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(admin.NewToken() + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keeping the API token: %w", err)
	}
	if err := admin.EnsureToken(ctx, p.db, strings.TrimSpace(string(text)), "dev", admin.Scopes()); err != nil {
		return "", fmt.Errorf("making the API token of %s valid: %w", path, err)
	}
	return path, nil
}
