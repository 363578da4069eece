// Command router turns CDRs on Kafka into events and deliveries. See package router.
package main

import (
	"context"

	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/router"
)

func main() {
	service.Main("router", func(ctx context.Context, cfg router.Config, p service.Process) error {
		return router.Run(ctx, cfg, router.Deps{Logger: p.Logger, Registry: p.Registry, Health: p.Health, Tracer: p.Tracer})
	})
}
