// Package process is a sender as a process: its settings, and what is opened
// before it runs. Its own binary and the command line both begin it here.
package process

import (
	"context"
	"slices"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/outbound"
	"github.com/aftercall/aftercall/services/sender"
)

// Settings of the process.
type Settings struct {
	Sender   sender.Config
	Outbound outbound.Config
}

// Run runs it until ctx ends.
func Run(ctx context.Context, cfg Settings, p service.Process) error {
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
}
