package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
)

// glance is how long an address may take to say what it is.
const glance = 2 * time.Second

// Embedded says whether the brokers of c are the embedded one of a one-process
// edition, whose topics are not as on a cluster.
func Embedded(ctx context.Context, c kafka.Config) bool {
	if len(c.Brokers) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	client, err := kgo.NewClient(append(c.Opts(), kgo.RetryTimeout(glance))...)
	if err != nil {
		return false
	}
	defer client.Close()
	m, err := kadm.NewClient(client).BrokerMetadata(ctx)
	return err == nil && m.Cluster == embedded.ClusterID
}

// Nearby is what to say where no broker is named: that a one-process edition
// answers at addr, its usual address, when it does.
func Nearby(ctx context.Context, addr, then string) string {
	if !Embedded(ctx, kafka.Config{Brokers: []string{addr}, ClientID: "aftercall-nearby"}) {
		return ""
	}
	return fmt.Sprintf("; a one-process edition seems to run on this machine: "+then, addr)
}
