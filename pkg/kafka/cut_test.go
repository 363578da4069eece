package kafka_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

// A network that closes a connection before its first answer looks to the client
// like a broker that wants TLS or SASL.
func TestAStartOutlastsConnectionsThatAreCut(t *testing.T) {
	broker := kafkatest.Start(t).Config()
	// How many connections a start makes, one after the other: each is cut once.
	for cut := range int64(8) {
		c := broker
		var dialed atomic.Int64
		c.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil && dialed.Add(1) == cut+1 {
				return cutOff{conn}, nil
			}
			return conn, err
		}
		if err := kafka.Prepare(t.Context(), c, topic.All()); err != nil {
			t.Errorf("connection %d was cut: %v", cut, err)
		}
		if dialed.Load() <= cut && cut < 3 {
			t.Errorf("%d connections only: nothing was cut", dialed.Load())
		}
	}
}

// cutOff is a connection that the other side closes at the first question.
type cutOff struct{ net.Conn }

func (c cutOff) Write(p []byte) (int, error) {
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	return len(p), nil
}
