package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/topic"
)

// EnsureOptions say what topics to create are like.
type EnsureOptions struct {
	// Replication factor, 0 for the broker's default.
	Replication int
	// Embedded broker: fewer partitions, everything kept, nothing compacted.
	Embedded bool
	// MaxRecordBytes is the CDR cap, 0 for the default.
	MaxRecordBytes int
}

func (o EnsureOptions) recordCap() int { return Config{MaxRecordBytes: o.MaxRecordBytes}.RecordCap() }

// Prepare is the start of every service: it pings the brokers, creates the
// missing topics where the configuration says so, and compares the settings of
// all of them with what Aftercall's guarantees need. Warnings are logged; a
// setting that would lose data is an error that says what to change.
func Prepare(ctx context.Context, c Config, specs []topic.Spec) error {
	if err := Ping(ctx, c); err != nil {
		return err
	}
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	o := EnsureOptions{Replication: c.TopicReplication, Embedded: c.Embedded, MaxRecordBytes: c.MaxRecordBytes}
	if c.EnsureTopics || c.Embedded {
		if err := Ensure(ctx, adm, specs, o); err != nil {
			return err
		}
	}
	findings, err := Verify(ctx, adm, specs, o)
	if err != nil {
		return err
	}
	if !c.Embedded {
		ofBrokers, err := VerifyBrokers(ctx, client)
		if err != nil {
			// Not everyone may ask; nothing rests on the answer.
			c.logger().Warn("brokers.unverified", zap.Error(err))
		}
		findings = append(findings, ofBrokers...)
	}
	var refused []error
	for _, f := range findings {
		if f.Severity == Refuse {
			refused = append(refused, errors.New(f.Message))
		}
	}
	for _, w := range warnings(findings) {
		c.logger().Warn("topics.settings", zap.String("finding", w.text), zap.Strings("topics", w.topics))
	}
	if len(refused) > 0 {
		return fmt.Errorf("checking topics: %w", errors.Join(refused...))
	}
	return nil
}

// Ensure creates the topics that do not exist, waits until each has its leaders,
// and raises max.message.bytes of existing ones that are too small for the cap.
// It changes nothing else of an existing topic: [Verify] tells.
func Ensure(ctx context.Context, adm *kadm.Client, specs []topic.Spec, o EnsureOptions) error {
	replication := int16(-1)
	if o.Replication > 0 {
		replication = int16(o.Replication)
	}
	if o.Embedded {
		replication = 1
	}
	var existing []string
	for _, s := range specs {
		partitions := s.Partitions
		if o.Embedded {
			partitions = s.EmbeddedPartitions
		}
		_, err := adm.CreateTopic(ctx, partitions, replication, settings(s, o), s.Name)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
			existing = append(existing, s.Name)
		case err != nil:
			return fmt.Errorf("creating topic %s: %w", s.Name, err)
		}
	}
	if len(existing) > 0 {
		if err := raiseRecordCap(ctx, adm, existing, o.recordCap()); err != nil {
			return err
		}
	}
	return awaitLeaders(ctx, adm, specs)
}

func settings(s topic.Spec, o EnsureOptions) map[string]*string {
	set := map[string]*string{}
	put := func(k, v string) { set[k] = &v }
	put("max.message.bytes", strconv.Itoa(o.recordCap()))
	put("retention.bytes", "-1")
	if o.Embedded {
		// A partition emptied by retention starts at 0 again after a restart,
		// and groups would silently skip: everything is kept.
		put("cleanup.policy", "delete")
		put("retention.ms", "-1")
		put("segment.bytes", strconv.Itoa(16<<20))
		return set
	}
	put("cleanup.policy", "delete")
	put("retention.ms", "-1")
	switch {
	case s.Compacted:
		put("cleanup.policy", "compact")
	case s.Retention > 0:
		put("retention.ms", strconv.FormatInt(s.Retention.Milliseconds(), 10))
	}
	if !s.Upstream {
		put("message.timestamp.type", "LogAppendTime")
	}
	if o.Replication >= 3 {
		put("min.insync.replicas", "2")
	}
	return set
}

func raiseRecordCap(ctx context.Context, adm *kadm.Client, topics []string, want int) error {
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return fmt.Errorf("describing topics: %w", err)
	}
	var small []string
	for _, rc := range configs {
		if n, err := strconv.Atoi(setting(rc, "max.message.bytes")); err == nil && n < want {
			small = append(small, rc.Name)
		}
	}
	if len(small) == 0 {
		return nil
	}
	value := strconv.Itoa(want)
	answers, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, small...)
	if err != nil {
		return fmt.Errorf("raising max.message.bytes: %w", err)
	}
	for _, a := range answers {
		if a.Err != nil {
			return fmt.Errorf("raising max.message.bytes of %s: %w", a.Name, a.Err)
		}
	}
	return nil
}

// awaitLeaders returns once every partition of every topic has a leader: a
// client that asks right after a creation may be told that there is none.
func awaitLeaders(ctx context.Context, adm *kadm.Client, specs []topic.Spec) error {
	topicNames := namesOf(specs)
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := leaderless(ctx, adm, topicNames)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for topics: %w: %w", ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

// leaderless names the first partition without a leader, nil when each has one.
func leaderless(ctx context.Context, adm *kadm.Client, topicNames []string) error {
	details, err := adm.ListTopics(ctx, topicNames...)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	for _, name := range topicNames {
		d, ok := details[name]
		if !ok || d.Err != nil || len(d.Partitions) == 0 {
			return fmt.Errorf("%s is not there yet", name)
		}
		for _, p := range d.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return fmt.Errorf("%s/%d has no leader", name, p.Partition)
			}
		}
	}
	return nil
}

// Severity says what a finding means for a start.
type Severity string

// Severities.
const (
	// Refuse: data would get lost; the service must not start.
	Refuse Severity = "refuse"
	// Warn: it works, but not as well or not as safely as it could.
	Warn Severity = "warn"
)

// Finding is one setting that is not as it should be.
type Finding struct {
	Topic    string
	Severity Severity
	// Message says what is wrong, why it matters and what to change.
	Message string
}

// warning is a finding with all the topics that it is made of.
type warning struct {
	text   string
	topics []string
}

// warnings folds findings that are the same but for the topic: on a single broker
// every topic has two.
func warnings(findings []Finding) []warning {
	var out []warning
	for _, f := range findings {
		if f.Severity == Refuse {
			continue
		}
		text := f.Message
		if f.Topic != "" {
			text = strings.ReplaceAll(text, "topic "+f.Topic+" ", "")
		}
		i := slices.IndexFunc(out, func(w warning) bool { return w.text == text })
		if i < 0 {
			out, i = append(out, warning{text: text}), len(out)
		}
		if f.Topic != "" {
			out[i].topics = append(out[i].topics, f.Topic)
		}
	}
	return out
}

// Verify compares the topics' settings with what the guarantees need. Refused
// are: a missing topic, a cleanup policy that drops what must be kept (or keeps
// all of the subscriptions' history), timestamps of the producer on internal
// topics, a retention under the time that records may have to wait, and a
// max.message.bytes below the cap. On the embedded broker only existence and
// retention count: it honours nothing else.
func Verify(ctx context.Context, adm *kadm.Client, specs []topic.Spec, o EnsureOptions) ([]Finding, error) {
	topicNames := namesOf(specs)
	details, err := adm.ListTopics(ctx, topicNames...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var findings []Finding
	add := func(t string, s Severity, format string, args ...any) {
		findings = append(findings, Finding{Topic: t, Severity: s, Message: fmt.Sprintf(format, args...)})
	}
	var present []topic.Spec
	for _, s := range specs {
		d, ok := details[s.Name]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			add(s.Name, Refuse, "topic %s does not exist: create it with %d partitions, or set AFTERCALL_ENSURE_TOPICS=true", s.Name, s.Partitions)
		case d.Err != nil:
			return nil, fmt.Errorf("listing topic %s: %w", s.Name, d.Err)
		default:
			present = append(present, s)
			if rf := len(d.Partitions[0].Replicas); !o.Embedded && rf < 3 {
				add(s.Name, Warn, "topic %s has replication factor %d: the loss of a broker may lose records; 3 is safe", s.Name, rf)
			}
		}
	}
	if len(present) == 0 {
		return findings, nil
	}
	configs, err := adm.DescribeTopicConfigs(ctx, namesOf(present)...)
	if err != nil {
		return nil, fmt.Errorf("describing topics: %w", err)
	}
	for _, s := range present {
		rc, err := configs.On(s.Name, nil)
		if err == nil {
			err = rc.Err
		}
		if err != nil {
			return nil, fmt.Errorf("describing topic %s: %w", s.Name, err)
		}
		verifyTopic(s, rc, o, add)
	}
	return findings, nil
}

func verifyTopic(s topic.Spec, rc kadm.ResourceConfig, o EnsureOptions, add func(string, Severity, string, ...any)) {
	policy := setting(rc, "cleanup.policy")
	compacts := strings.Contains(policy, "compact")
	switch {
	case s.Compacted && !o.Embedded && (!compacts || strings.Contains(policy, "delete")):
		add(s.Name, Refuse, "topic %s has cleanup.policy=%s: subscriptions must be kept; set cleanup.policy=compact", s.Name, policy)
	case (!s.Compacted || o.Embedded) && compacts:
		add(s.Name, Refuse, "topic %s has cleanup.policy=%s: compaction drops records that must be kept; set cleanup.policy=delete", s.Name, policy)
	}
	if kept, err := strconv.ParseInt(setting(rc, "retention.ms"), 10, 64); err == nil && kept >= 0 && !s.Compacted {
		retention := time.Duration(kept) * time.Millisecond
		switch {
		case o.Embedded:
			add(s.Name, Refuse, "topic %s has retention.ms=%d: the embedded broker must keep everything; set retention.ms=-1", s.Name, kept)
		case retention < need(s):
			add(s.Name, Refuse, "topic %s keeps records for %s only: they may have to wait %s; set retention.ms=%d", s.Name, retention, need(s), s.Retention.Milliseconds())
		case s.Retention > 0 && retention < s.Retention:
			add(s.Name, Warn, "topic %s keeps records for %s: %s is recommended; set retention.ms=%d", s.Name, retention, s.Retention, s.Retention.Milliseconds())
		}
	}
	if o.Embedded {
		return
	}
	if limit := setting(rc, "retention.bytes"); limit != "" && limit != "-1" {
		add(s.Name, Warn, "topic %s has retention.bytes=%s: a burst may drop records before they are used; set retention.bytes=-1", s.Name, limit)
	}
	if !s.Upstream {
		if kind := setting(rc, "message.timestamp.type"); kind != "LogAppendTime" {
			add(s.Name, Refuse, "topic %s has message.timestamp.type=%s: waiting times and retention count from the broker's clock; set message.timestamp.type=LogAppendTime", s.Name, kind)
		}
	}
	if n, err := strconv.Atoi(setting(rc, "max.message.bytes")); err == nil && n < o.recordCap() {
		severity := Refuse
		if s.Upstream {
			// Upstream is told by its own broker; nothing accepted gets lost.
			severity = Warn
		}
		add(s.Name, severity, "topic %s has max.message.bytes=%d: set it to %d, the CDR cap plus %d", s.Name, n, o.recordCap(), Overhead)
	}
	if n, err := strconv.Atoi(setting(rc, "min.insync.replicas")); err == nil && n < 2 {
		add(s.Name, Warn, "topic %s has min.insync.replicas=%d: an acknowledged record may be on one broker only; set it to 2 with replication factor 3", s.Name, n)
	}
	if setting(rc, "unclean.leader.election.enable") == "true" {
		add(s.Name, Warn, "topic %s has unclean.leader.election.enable=true: acknowledged records may get lost; set it to false", s.Name)
	}
}

// need is how long a record may have to wait in a topic before it is used: the
// longest retry schedule for what is ours, a day for what is upstream's.
func need(s topic.Spec) time.Duration {
	if s.Upstream {
		return 24 * time.Hour
	}
	return 72 * time.Hour
}

func setting(rc kadm.ResourceConfig, key string) string {
	i := slices.IndexFunc(rc.Configs, func(c kadm.Config) bool { return c.Key == key })
	if i < 0 {
		return ""
	}
	return rc.Configs[i].MaybeValue()
}

func namesOf(specs []topic.Spec) []string {
	out := make([]string, 0, len(specs))
	for _, s := range specs {
		out = append(out, s.Name)
	}
	return out
}
