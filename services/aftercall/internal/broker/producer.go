package broker

import (
	"context"

	foreign "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/aftercall/aftercall/pkg/cdrclient"
	"github.com/aftercall/aftercall/pkg/kafka"
)

// Producer is how a command produces as an upstream does, with segmentio/kafka-go,
// secured by the settings that everything else has. It asks the brokers once, so
// that a wrong setting is named.
func Producer(ctx context.Context, brokers []string, command string) (cdrclient.Config, error) {
	c, err := Config(brokers, command)
	if err != nil {
		return cdrclient.Config{}, err
	}
	if err := kafka.Ping(ctx, c); err != nil {
		return cdrclient.Config{}, err
	}
	var addresses []string
	for _, b := range brokers {
		addresses = append(addresses, withPort(b))
	}
	config := cdrclient.Config{Brokers: addresses, ClientID: c.ClientID, Dial: c.Security.Dialer()}
	if m := c.Security.SASL(); m != nil {
		config.SASL = mechanism{m}
	}
	return config, nil
}

// mechanism is one of franz-go for kafka-go: one implementation of each is enough.
type mechanism struct{ sasl.Mechanism }

func (m mechanism) Start(ctx context.Context) (foreign.StateMachine, []byte, error) {
	s, first, err := m.Authenticate(ctx, "")
	return session{s}, first, err
}

type session struct{ sasl.Session }

func (s session) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	return s.Challenge(challenge)
}
