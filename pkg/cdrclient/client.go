package cdrclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// Config says where to send to. Only Brokers is needed.
type Config struct {
	// Brokers are host:port of some brokers of the cluster.
	Brokers []string
	// Source names this producer in every record (header ce_source), such as
	// "contoso/pbx".
	Source string
	// Tenant that the records belong to; Aftercall's default tenant when empty.
	Tenant string
	// Topics overrides the topic of an event type, for deployments whose router
	// reads others (AFTERCALL_SOURCES).
	Topics map[string]string
	// MaxBytes is the cap on a value; MaxBytes of this package when 0.
	MaxBytes int
	// ClientID names the connection in the broker's log.
	ClientID string
	// TLS of the connection; plain text when nil.
	TLS *tls.Config
	// SASL mechanism of kafka-go, such as scram.Mechanism.
	SASL sasl.Mechanism
	// Dial replaces the dialer of the transport.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Linger is how long a record waits for others to share its batch: 5 ms when
	// 0. Concurrent calls of Send share batches too.
	Linger time.Duration
	// Acknowledged, when set, is told of each record that the broker has taken, and
	// of its place, before Send returns: a producer's log. It may be called from
	// several goroutines at once. A record whose acknowledgement was lost is in
	// the topic and is not told of.
	Acknowledged func(Acknowledgement)
	// Attempts at a batch before Send gives up: 10 when 0.
	Attempts int
}

// Client sends CDRs. It is safe for concurrent use.
type Client struct {
	config    Config
	writer    *kafka.Writer
	transport *kafka.Transport
}

// New makes a client. It does not connect: Ping does.
func New(config Config) (*Client, error) {
	if len(config.Brokers) == 0 {
		return nil, errors.New("cdrclient: Config.Brokers is empty")
	}
	for _, b := range config.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, fmt.Errorf("cdrclient: broker %q is not host:port: %w", b, err)
		}
	}
	for _, h := range []struct{ name, value string }{{"ce_source", config.Source}, {"aftercall-tenant", config.Tenant}} {
		if err := checkHeader(h.name, h.value); err != nil {
			return nil, fmt.Errorf("cdrclient: %w", err)
		}
	}
	if config.MaxBytes <= 0 {
		config.MaxBytes = MaxBytes
	}
	if config.Linger <= 0 {
		config.Linger = 5 * time.Millisecond
	}
	if config.ClientID == "" {
		config.ClientID = "aftercall-cdrclient"
	}
	transport := &kafka.Transport{
		Dial:     config.Dial,
		ClientID: config.ClientID,
		TLS:      config.TLS,
		SASL:     config.SASL,
	}
	return &Client{
		config:    config,
		transport: transport,
		writer: &kafka.Writer{
			Addr: kafka.TCP(config.Brokers...),
			// The default balancer of kafka-go takes no account of keys.
			Balancer:     kafka.Murmur2Balancer{},
			RequiredAcks: kafka.RequireAll,
			BatchSize:    1000,
			// The topics take records of the cap plus 256 KiB.
			BatchBytes:   int64(config.MaxBytes) + 128<<10,
			BatchTimeout: config.Linger,
			MaxAttempts:  config.Attempts,
			Transport:    transport,
			Completion:   config.completion(),
		},
	}, nil
}

// Acknowledgement is a record's place in Kafka, and what it holds. Value is not
// changed.
type Acknowledgement struct {
	Topic     string
	Partition int32
	Offset    int64
	Value     []byte
}

func (c Config) completion() func([]kafka.Message, error) {
	if c.Acknowledged == nil {
		return nil
	}
	return func(messages []kafka.Message, err error) {
		if err != nil {
			return
		}
		for _, m := range messages {
			c.Acknowledged(Acknowledgement{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset, Value: m.Value})
		}
	}
}

// Ping says whether a broker answers and has the topics that CDRs are sent to.
func (c *Client) Ping(ctx context.Context) error {
	client := &kafka.Client{Addr: c.writer.Addr, Transport: c.transport}
	var wanted []string
	for eventType, topic := range topics {
		if own := c.config.Topics[eventType]; own != "" {
			topic = own
		}
		wanted = append(wanted, topic)
	}
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: wanted})
	if err != nil {
		return fmt.Errorf("cdrclient: asking %s: %w", strings.Join(c.config.Brokers, ", "), err)
	}
	for _, t := range answer.Topics {
		if t.Error != nil {
			return fmt.Errorf("cdrclient: topic %s: %w", t.Name, t.Error)
		}
	}
	return nil
}

// Send sends CDRs and returns when all are acknowledged. When one of them would
// be rejected, none is sent. The error is a *SendError. After one, or when ctx
// ends, records may have arrived all the same: send them again unchanged, a
// repeat is recognised.
func (c *Client) Send(ctx context.Context, cdrs ...CDR) error {
	if len(cdrs) == 0 {
		return nil
	}
	now := time.Now()
	records := make([]kafka.Message, len(cdrs))
	ids := make([]string, len(cdrs))
	var invalid []Failure
	for i, cdr := range cdrs {
		var err error
		if records[i], ids[i], err = c.record(cdr, now); err != nil {
			invalid = append(invalid, failure(i, cdr, ids[i], err))
		}
	}
	if len(invalid) > 0 {
		return &SendError{Failures: invalid, Of: len(cdrs)}
	}
	errs := c.write(ctx, records)
	failed := &SendError{Of: len(cdrs)}
	for i, cdr := range cdrs {
		if errs[i] != nil {
			failed.Failures = append(failed.Failures, failure(i, cdr, ids[i], fmt.Errorf("writing to %s: %w", records[i].Topic, errs[i])))
		}
	}
	if len(failed.Failures) > 0 {
		return failed
	}
	return nil
}

// write gives each record's own error. Each topic is written by itself, because
// the Writer gives up on all of a call's records when one topic is missing.
func (c *Client) write(ctx context.Context, records []kafka.Message) []error {
	byTopic := map[string][]int{}
	for i, r := range records {
		byTopic[r.Topic] = append(byTopic[r.Topic], i)
	}
	errs := make([]error, len(records))
	var writing sync.WaitGroup
	for _, indexes := range byTopic {
		writing.Go(func() {
			batch := make([]kafka.Message, len(indexes))
			for j, i := range indexes {
				batch[j] = records[i]
			}
			err := c.writer.WriteMessages(ctx, batch...)
			each, ok := errors.AsType[kafka.WriteErrors](err)
			for j, i := range indexes {
				switch {
				case !ok:
					errs[i] = err
				case j < len(each):
					errs[i] = each[j]
				}
			}
		})
	}
	writing.Wait()
	return errs
}

// Close waits for what is being sent, then closes the connections. A client is
// not used after it.
func (c *Client) Close() error {
	err := c.writer.Close()
	c.transport.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("cdrclient: closing: %w", err)
	}
	return nil
}
