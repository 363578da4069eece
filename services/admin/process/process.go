// Package process is admin as a process: its settings, and what is opened
// before it runs. Its own binary and the command line both begin it here.
package process

import (
	"context"
	"slices"

	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/service/outbound"
	"github.com/aftercall/aftercall/services/admin"
)

// Settings of the process.
type Settings struct {
	Admin    admin.Config
	Database database.Config
	Outbound outbound.Config
}

// Run runs it until ctx ends.
func Run(ctx context.Context, cfg Settings, p service.Process) error {
	keyset, err := cfg.Outbound.Secrets()
	if err != nil {
		return err
	}
	// Before the policy, which keeps webhooks off it: its port may be any.
	listener, err := admin.Listen(ctx, cfg.Admin.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	own := []string{listener.Addr().String(), p.OpsAddress}
	policy, err := cfg.Outbound.Policy(slices.Concat(own, cfg.Admin.Kafka.Brokers, cfg.Database.Addresses())...)
	if err != nil {
		return err
	}
	db, err := cfg.Database.Open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	cfg.Admin.SetupInLog = true
	return admin.Run(ctx, cfg.Admin, admin.Deps{
		Logger: p.Logger, Registry: p.Registry, Health: p.Health, Listener: listener,
		Store: db, Keyset: keyset, Policy: policy, URLRules: cfg.Outbound.URLRules(policy),
	})
}
