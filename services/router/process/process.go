// Package process is the router as a process: its settings, and what is opened
// before it runs. Its own binary and the command line both begin it here.
package process

import (
	"context"

	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/router"
)

// Settings of the process.
type Settings = router.Config

// Run runs it until ctx ends.
func Run(ctx context.Context, cfg Settings, p service.Process) error {
	return router.Run(ctx, cfg, router.Deps{Logger: p.Logger, Registry: p.Registry, Health: p.Health, Tracer: p.Tracer})
}
