package simulate

import (
	"context"

	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// secured are options with TLS and SASL from the settings of the environment.
func secured(ctx context.Context, o Options) (Options, error) {
	c, err := broker.Producer(ctx, o.Brokers, "simulate")
	o.Brokers, o.Dial, o.SASL = c.Brokers, c.Dial, c.SASL
	return o, err
}
