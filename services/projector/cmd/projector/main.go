// Command projector writes what happened into the store. See package projector.
package main

import (
	"context"

	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/services/projector"
)

type settings struct {
	Projector projector.Config
	Database  database.Config
}

func main() {
	service.Main("projector", func(ctx context.Context, cfg settings, p service.Process) error {
		db, err := cfg.Database.Open(ctx)
		if err != nil {
			return err
		}
		defer db.Close()
		return projector.Run(ctx, cfg.Projector, projector.Deps{Logger: p.Logger, Registry: p.Registry, Health: p.Health, Store: db, Pruned: db})
	})
}
