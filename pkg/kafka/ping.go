package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Ping connects to the brokers and returns nil when one of them speaks Kafka.
// When none accepts a connection, the error names each address and what
// happened, within a second. A client alone says nothing about a wrong address.
func Ping(ctx context.Context, c Config) error {
	if len(c.Brokers) == 0 {
		return errors.New("connecting to Kafka: no broker is configured; set AFTERCALL_BROKERS to host:port, several separated by commas")
	}
	if err := c.Security.Check(); err != nil {
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	dial := c.Dialer
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	dialCtx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	failed := make(chan error, len(c.Brokers))
	for _, addr := range c.Brokers {
		go func() {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				addr = net.JoinHostPort(addr, "9092")
			}
			conn, err := dial(dialCtx, "tcp", addr)
			if err != nil {
				failed <- fmt.Errorf("%s: %w", addr, err)
				return
			}
			conn.Close()
			failed <- nil
		}()
	}
	var errs []error
	reached := false
	for range c.Brokers {
		if err := <-failed; err != nil {
			errs = append(errs, err)
		} else {
			reached = true
		}
	}
	if !reached {
		return fmt.Errorf("connecting to Kafka at %w", errors.Join(errs...))
	}

	client, err := kgo.NewClient(append(c.Opts(), kgo.RetryTimeout(2*time.Second))...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	askCtx, cancelAsk := context.WithTimeout(ctx, 5*time.Second)
	defer cancelAsk()
	if err := client.Ping(askCtx); err != nil {
		return fmt.Errorf("asking %s for its Kafka version: %w%s", strings.Join(c.Brokers, ", "), err, c.Security.advice(err))
	}
	return nil
}
