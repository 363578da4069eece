// Command sender posts deliveries to their endpoints. See package sender.
package main

import (
	"context"
	"slices"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/outbound"
	"github.com/aftercall/aftercall/services/sender"
)

type settings struct {
	Sender   sender.Config
	Outbound outbound.Config
}

func main() {
	service.Main("sender", func(ctx context.Context, cfg settings, p service.Process) error {
		keyset, err := cfg.Outbound.Secrets()
		if err != nil {
			return err
		}
		policy, err := cfg.Outbound.Policy(slices.Concat(cfg.Sender.Kafka.Brokers, []string{p.OpsAddress})...)
		if err != nil {
			return err
		}
		return sender.Run(ctx, cfg.Sender, sender.Deps{
			Logger: p.Logger, Registry: p.Registry, Health: p.Health, Tracer: p.Tracer, Version: p.Version,
			Keyset: keyset, Transport: policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: cfg.Sender.MaxInFlight, MaxIdleConns: 4096}),
		})
	})
}
