package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

// benchSecret signs the benchmark's requests.
const benchSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// pipeline is router, sender and projector in this process.
type pipeline struct {
	kafka  kafka.Config
	store  *store.DB
	cancel context.CancelFunc
	done   chan error
}

// startPipeline runs the services against a broker and a store.
func startPipeline(ctx context.Context, c kafka.Config, db *store.DB, url string, concurrency int) (*pipeline, error) {
	text, err := secret.NewKeyset()
	if err != nil {
		return nil, err
	}
	keyset, err := secret.Open(text)
	if err != nil {
		return nil, err
	}
	if err := kafka.Prepare(ctx, c, topic.All()); err != nil {
		return nil, err
	}
	if err := subscribe(ctx, c, keyset, url, concurrency); err != nil {
		return nil, err
	}
	policy, err := safedial.NewPolicy(safedial.Options{AllowLoopback: true})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &pipeline{kafka: c, store: db, cancel: cancel, done: make(chan error, 1)}
	health := lifecycle.NewHealth()
	log := zap.NewNop()
	go func() {
		services := map[string]func(context.Context) error{
			"router": func(ctx context.Context) error {
				return router.Run(ctx, router.Config{Kafka: c, Instance: "bench"},
					router.Deps{Logger: log, Registry: prometheus.NewRegistry(), Health: health})
			},
			"sender": func(ctx context.Context) error {
				return sender.Run(ctx, sender.Config{Kafka: c, Instance: "bench", StaticInstance: true, MaxInFlight: 512}, sender.Deps{
					Logger: log, Registry: prometheus.NewRegistry(), Health: health, Keyset: keyset, Version: "bench",
					Transport: policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 512, MaxIdleConns: 4096}),
				})
			},
			"projector": func(ctx context.Context) error {
				return projector.Run(ctx, projector.Config{Kafka: c, Instance: "bench"},
					projector.Deps{Logger: log, Registry: prometheus.NewRegistry(), Health: health, Store: db})
			},
		}
		for name, run := range services {
			services[name] = func(ctx context.Context) error { return as(ctx, name, run) }
		}
		p.done <- lifecycle.Run(ctx, services)
	}()
	return p, nil
}

func (p *pipeline) stop() error {
	p.cancel()
	return <-p.done
}

func subscribe(ctx context.Context, c kafka.Config, keyset *secret.Keyset, url string, concurrency int) error {
	s := &subscription.Subscription{
		ID: "sub_bench", Version: 1, Tenant: subscription.DefaultTenant, Name: "bench", Endpoint: url, Active: true,
		Events: []string{topic.TypeQueue}, Format: subscription.FormatCDR, MaxConcurrency: concurrency, Schedule: subscription.DefaultSchedule,
	}
	var err error
	if s.SealedSecret, err = keyset.Seal(s.ID, secret.FieldSecret, []byte(benchSecret)); err != nil {
		return err
	}
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, record.New(topic.Subscriptions, s.ID, subscription.ToProto(s), time.Now())).FirstErr()
}

// produce writes n CDRs as fast as the broker takes them.
func produce(ctx context.Context, c kafka.Config, payload payload, first, n int) error {
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Pointer[error]
	for i := range n {
		id := "bench-" + strconv.Itoa(first+i)
		client.Produce(ctx, &kgo.Record{Topic: topic.CDRQueue, Key: []byte(id), Value: payload(first+i, time.Time{})}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("producing CDRs: %w", *err)
	}
	return nil
}

var errStalled = errors.New("nothing arrived for 60 s")

// arrived waits until the receiver has seen n requests.
func (p *pipeline) arrived(ctx context.Context, r *receiver, before int64, n int) error {
	last, since := int64(-1), time.Now()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for {
		f, err := r.read()
		if err != nil {
			return err
		}
		if f.Count-before >= int64(n) {
			return nil
		}
		if f.Count != last {
			last, since = f.Count, time.Now()
		} else if time.Since(since) > time.Minute {
			return errStalled
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			return fmt.Errorf("the pipeline ended: %w", err)
		case <-every.C:
		}
	}
}

// projected waits until the store has caught up with the history topic.
func (p *pipeline) projected(ctx context.Context) error {
	client, err := kgo.NewClient(p.kafka.Opts()...)
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic.History)
	if err != nil {
		return fmt.Errorf("listing the history's end: %w", err)
	}
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for began := time.Now(); ; {
		offsets, err := p.store.ProjectedOffsets(ctx)
		if err != nil {
			return err
		}
		behind := int64(0)
		ends.Each(func(end kadm.ListedOffset) { behind += end.Offset - offsets[end.Topic][end.Partition] })
		if behind <= 0 {
			return nil
		}
		if time.Since(began) > 5*time.Minute {
			return fmt.Errorf("the projector is still %d records behind", behind)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-p.done:
			return fmt.Errorf("the pipeline ended: %w", err)
		case <-every.C:
		}
	}
}

// latency is what the receiver saw of CDRs produced at a modest rate.
type latency struct {
	Count    int
	P50, P99 time.Duration
}

// latency produces o.Rate CDRs a second for o.Seconds, each at its moment, and
// asks the receiver how old they were.
func (p *pipeline) latency(ctx context.Context, o Options, r *receiver, payload payload, first int) (latency, error) {
	client, err := kgo.NewClient(append(p.kafka.Opts(), p.kafka.Producer()...)...)
	if err != nil {
		return latency{}, err
	}
	defer client.Close()
	before, err := r.read()
	if err != nil {
		return latency{}, err
	}
	if err := r.forgetAges(); err != nil {
		return latency{}, err
	}
	n := o.Rate * o.Seconds
	every := time.NewTicker(time.Second / time.Duration(o.Rate))
	defer every.Stop()
	for i := range n {
		select {
		case <-ctx.Done():
			return latency{}, ctx.Err()
		case <-every.C:
		}
		id := "bench-" + strconv.Itoa(first+i)
		client.Produce(ctx, &kgo.Record{Topic: topic.CDRQueue, Key: []byte(id), Value: payload(first+i, time.Now())}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return latency{}, err
	}
	if err := p.arrived(ctx, r, before.Count, n); err != nil {
		return latency{}, err
	}
	after, err := r.read()
	return after.Latency, err
}
