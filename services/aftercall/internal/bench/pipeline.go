package bench

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin"
	"github.com/aftercall/aftercall/services/projector"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

// pipeline is router, sender and projector in this process.
type pipeline struct {
	at     place
	keyset *secret.Keyset
	policy *safedial.Policy
	cancel context.CancelFunc
	done   chan error
}

// prepare makes the topics and what subscriptions are sealed with.
func prepare(ctx context.Context, at place) (*pipeline, error) {
	text, err := secret.NewKeyset()
	if err != nil {
		return nil, err
	}
	p := &pipeline{at: at, done: make(chan error, 1)}
	if p.keyset, err = secret.Open(text); err != nil {
		return nil, err
	}
	if err := kafka.Prepare(ctx, at.kafka, topic.All()); err != nil {
		return nil, err
	}
	p.policy, err = safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	return p, err
}

// startPipeline runs the services at a place with these subscriptions.
func startPipeline(ctx context.Context, at place, subs ...*subscription.Subscription) (*pipeline, error) {
	p, err := prepare(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := p.subscribe(ctx, subs...); err != nil {
		return nil, err
	}
	p.run(ctx, false)
	return p, nil
}

// run starts the services, and admin with them when asked to.
func (p *pipeline) run(ctx context.Context, withAdmin bool) {
	ctx, p.cancel = context.WithCancel(ctx)
	health := lifecycle.NewHealth()
	log := zap.NewNop()
	c := p.at.kafka
	services := map[string]func(context.Context) error{
		"router": func(ctx context.Context) error {
			return router.Run(ctx, router.Config{Kafka: c, Instance: "bench"},
				router.Deps{Logger: log, Registry: prometheus.NewRegistry(), Health: health})
		},
		"sender": func(ctx context.Context) error {
			return sender.Run(ctx, sender.Config{Kafka: c, Instance: "bench", StaticInstance: true, MaxInFlight: 512}, sender.Deps{
				Logger: log, Registry: prometheus.NewRegistry(), Health: health, Keyset: p.keyset, Version: "bench",
				Transport: p.policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 512, MaxIdleConns: 4096}),
			})
		},
		"projector": func(ctx context.Context) error {
			return projector.Run(ctx, projector.Config{Kafka: c, Instance: "bench"},
				projector.Deps{Logger: log, Registry: prometheus.NewRegistry(), Health: health, Store: p.at.store})
		},
	}
	if withAdmin {
		services["admin"] = func(ctx context.Context) error {
			return admin.Run(ctx, admin.Config{Kafka: c, OUSeparator: "/"}, p.adminDeps(health))
		}
	}
	for name, run := range services {
		services[name] = func(ctx context.Context) error { return as(ctx, name, run) }
	}
	go func() { p.done <- lifecycle.Run(ctx, services) }()
}

func (p *pipeline) adminDeps(health *lifecycle.Health) admin.Deps {
	return admin.Deps{
		Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: health, Store: p.at.store, Keyset: p.keyset, Policy: p.policy,
		URLRules: webhook.URLRules{AllowHTTPLoopback: true, AllowAnyLoopbackPort: true},
	}
}

// publish makes the topic say of subscriptions what the store says.
func (p *pipeline) publish(ctx context.Context) error {
	return admin.PublishSubscriptions(ctx, p.at.kafka, p.adminDeps(lifecycle.NewHealth()))
}

func (p *pipeline) stop() error {
	p.cancel()
	return <-p.done
}
