// Package process is the projector as a process: its settings, and what is opened
// before it runs. Its own binary and the command line both begin it here.
package process

import (
	"context"

	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/services/projector"
)

// Settings of the process.
type Settings struct {
	Projector projector.Config
	Database  database.Config
}

// Run runs it until ctx ends.
func Run(ctx context.Context, cfg Settings, p service.Process) error {
	db, err := cfg.Database.Open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return projector.Run(ctx, cfg.Projector, projector.Deps{Logger: p.Logger, Registry: p.Registry, Health: p.Health, Store: db, Pruned: db, Tracer: p.Tracer})
}
