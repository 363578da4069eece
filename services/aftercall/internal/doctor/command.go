package doctor

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Command is `aftercall doctor`.
func Command() *cobra.Command {
	var m Machine
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with a deployment, and say what to do",
		Long: `Looks at a deployment from the AFTERCALL_* variables of one of its services
(docs/configuration.md): brokers and how they are secured, topics and their settings,
the keyset and what the webhooks are sealed with, clocks, the database and its
migrations, ports, routers that share a name, who works and how far behind, and
whether admin is ready. It changes nothing and joins no group.

Where AFTERCALL_BROKERS is not set, it looks at the one-process edition on this
machine, by its data folder; where it names the broker of one, at what one machine
needs. Admin is looked for at AFTERCALL_PUBLIC_URL, else at AFTERCALL_API, else where
AFTERCALL_LISTEN has it on this machine; what is at the default address while none of
them is set may be another deployment's, and is not judged.

Exit status: 0 nothing is wrong (warnings aside), 1 something is.`,
		Example: `  # With the variables of a service, on its machine
  set -a; . /etc/aftercall/sender.env; set +a; aftercall doctor

  # Beside the one-process edition
  aftercall doctor --data ./data

  # What is wrong, for a script
  aftercall doctor | jq 'select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if m.Between < 0 {
				return client.Usagef("--watch: %s is negative", m.Between)
			}
			if err := client.Address("kafka-listen", m.Broker); err != nil {
				return err
			}
			if m.Listen != "" {
				if err := client.Address("listen", m.Listen); err != nil {
					return err
				}
			}
			r := Look(cmd.Context(), m)
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if err := r.write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if n := r.Count(Fail); n > 0 {
				return fmt.Errorf("%d findings to mend", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&m.Data, "data", "./data", "data `folder` of the one-process edition")
	cmd.Flags().StringVar(&m.Broker, "kafka-listen", broker.Default, "`host:port` of the one-process edition's broker")
	cmd.Flags().StringVar(&m.Listen, "listen", "", "`host:port` of the one-process edition's console (default 127.0.0.1:8420)")
	cmd.Flags().DurationVar(&m.Between, "watch", 0, "how long to watch routers take each other's name (default 2s)")
	return cmd
}

// Look goes through all checks.
func Look(ctx context.Context, m Machine) Report {
	m = m.defaults()
	var r Report
	s, ok := m.load(ctx, &r)
	if !ok {
		return r
	}
	reached := m.reach(ctx, &r, s.Kafka)
	if reached {
		m.recognise(ctx, &r, &s)
	}
	keyset := m.keyset(&r, s)
	if reached {
		client, err := kgo.NewClient(s.Kafka.Opts()...)
		if err != nil {
			r.add(CheckSecurity, Fail, oneLine(err), "no service can read or write", "correct the variables named")
			return r
		}
		defer client.Close()
		m.cluster(ctx, &r, s, client)
		if m.topics(ctx, &r, s, client) {
			if keyset != nil {
				m.keys(ctx, &r, s, client, keyset)
			}
			m.brokerClock(ctx, &r, s, client)
			m.routers(ctx, &r, client)
			m.groups(ctx, &r, s)
		}
	}
	m.database(ctx, &r, s)
	here := m.port(ctx, &r, "AFTERCALL_LISTEN", s.Listen)
	m.port(ctx, &r, "AFTERCALL_OPS_LISTEN", s.OpsListen)
	if s.Kafka.Embedded && m.folder() {
		m.disk(&r)
	}
	m.admin(ctx, &r, s, here)
	return r
}
