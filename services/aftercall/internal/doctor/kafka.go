package doctor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/topic"
)

// reach connects to the brokers, first without a word, then as the services do. It
// answers whether that works.
func (m Machine) reach(ctx context.Context, r *Report, c kafka.Config) bool {
	if !m.dial(ctx, r, c.Brokers) {
		return false
	}
	if err := c.Security.Check(); err != nil {
		r.add(CheckSecurity, Fail, oneLine(err), "a service with these settings does not start", "correct the variables named")
		return false
	}
	if err := kafka.Ping(ctx, c); err != nil {
		r.add(CheckSecurity, Fail, oneLine(err), "no service can read or write", "correct the variables named; AFTERCALL_KAFKA_TLS… and AFTERCALL_KAFKA_SASL_… have to fit the broker's listener at this port")
		return false
	}
	r.ok(CheckSecurity, "%s", secured(c.Security))
	return true
}

func secured(s kafka.Security) string {
	text := "connections are plain"
	if s.TLS {
		text = "connections are encrypted"
	}
	if s.Mechanism == "" {
		return text + ", as nobody"
	}
	return fmt.Sprintf("%s, authenticated by %s", text, strings.ToUpper(s.Mechanism))
}

// dial tries each broker.
func (m Machine) dial(ctx context.Context, r *Report, brokers []string) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reached := 0
	var failed []string
	for _, addr := range brokers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			addr = net.JoinHostPort(addr, "9092")
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %s", addr, oneLine(err)))
			continue
		}
		_ = conn.Close()
		reached++
	}
	const do = "check AFTERCALL_BROKERS (host:port, several with commas), that the broker runs, and firewalls between: nc -vz HOST PORT"
	switch {
	case reached == 0:
		r.add(CheckBroker, Fail, "no broker can be reached: "+strings.Join(failed, "; "), "CDRs wait upstream, and nothing is sent", do)
	case len(failed) > 0:
		r.add(CheckBroker, Warn, "some brokers cannot be reached: "+strings.Join(failed, "; "), "with the others away too, nothing starts", do)
	default:
		r.ok(CheckBroker, "%d of %d addresses can be reached", reached, len(brokers))
	}
	return reached > 0
}

// cluster looks at versions and at settings of the brokers.
func (m Machine) cluster(ctx context.Context, r *Report, s settings, client *kgo.Client) {
	adm := kadm.NewClient(client)
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		r.add(CheckCluster, Warn, "the brokers cannot be listed: "+oneLine(err), "whether they are as they should be is not known", "give this user the right to describe the cluster: kafka-acls --add --operation Describe --cluster")
		return
	}
	version := "an unknown version"
	if versions, err := adm.ApiVersions(ctx); err == nil {
		for _, v := range versions {
			if v.Err == nil {
				version = v.VersionGuess()
			}
		}
	}
	if s.Kafka.Embedded {
		r.ok(CheckCluster, "the embedded broker answers")
		return
	}
	findings, err := kafka.VerifyBrokers(ctx, client)
	if err != nil {
		r.add(CheckCluster, Warn, oneLine(err), "whether the brokers' settings are as they should be is not known", "give this user the right to describe configurations: kafka-acls --add --operation DescribeConfigs --cluster")
		return
	}
	for _, f := range findings {
		what, do := split(f.Message)
		r.add(CheckCluster, Warn, what, "it works without, but less well", do)
	}
	if len(brokers) < 3 {
		r.add(CheckCluster, Warn, fmt.Sprintf("there are %d brokers (%s)", len(brokers), version), "with fewer than 3 the loss of one loses records, or stops the flow", "run three, and topics with replication factor 3 (AFTERCALL_TOPIC_REPLICATION=3)")
		return
	}
	if len(findings) == 0 {
		r.ok(CheckCluster, "%d brokers (%s)", len(brokers), version)
	}
}

// split parts what is wrong from what to change: findings of Kafka's settings end
// with it.
func split(message string) (what, do string) {
	i := strings.LastIndex(message, "; ")
	if j := strings.LastIndex(message, ": "); i < 0 {
		i = j
	}
	if i < 0 {
		return message, "set it as the message says"
	}
	return message[:i], message[i+2:]
}

// topics compares each topic with what the guarantees need. What is wrong with
// several is said once.
func (m Machine) topics(ctx context.Context, r *Report, s settings, client *kgo.Client) bool {
	adm := kadm.NewClient(client)
	specs := topic.All()
	findings, err := kafka.Verify(ctx, adm, specs, kafka.EnsureOptions{Embedded: s.Kafka.Embedded, MaxRecordBytes: s.Kafka.MaxRecordBytes})
	if err != nil {
		r.add(CheckTopics, Fail, oneLine(err), "whether the topics are as they should be is not known", "give this user the right to describe topics and their configurations: kafka-acls --add --operation DescribeConfigs --topic 'aftercall.' --resource-pattern-type prefixed")
		return false
	}
	if s.Kafka.EnsureTopics && len(findings) == len(specs) && !slices.ContainsFunc(findings, func(f kafka.Finding) bool { return !strings.Contains(f.Message, " does not exist") }) {
		r.add(CheckTopics, Warn, "no topic exists yet", "the first service that starts makes them, where it has the right to create topics; without them none starts",
			"start the services, or run aftercall topics before. If they were there already: this is another cluster, or they were deleted")
		return false
	}
	type group struct {
		kafka.Finding
		topics []string
	}
	var groups []*group
	for _, f := range findings {
		text := strings.ReplaceAll(f.Message, "topic "+f.Topic+" ", "")
		i := slices.IndexFunc(groups, func(g *group) bool { return g.Severity == f.Severity && g.Message == text })
		if i < 0 {
			groups = append(groups, &group{kafka.Finding{Topic: f.Topic, Severity: f.Severity, Message: text}, nil})
			i = len(groups) - 1
		}
		groups[i].topics = append(groups[i].topics, f.Topic)
	}
	missing := false
	for _, g := range groups {
		level, why := Warn, "it works, but not as safely as it could"
		if g.Severity == kafka.Refuse {
			level, why = Fail, "records would get lost: services do not start"
		}
		check := CheckTopics
		if strings.HasPrefix(g.Message, "keeps records for") || strings.HasPrefix(g.Message, "has retention") {
			check = CheckRetention
		}
		what, do := split(g.Message)
		if strings.HasPrefix(g.Message, "has replication factor") {
			do = "move the partitions to three brokers (kafka-reassign-partitions); topics made anew get it by AFTERCALL_TOPIC_REPLICATION=3"
		}
		if strings.HasPrefix(g.Message, "does not exist") {
			missing = true
			do = "run aftercall topics with the rights to create topics, or set AFTERCALL_ENSURE_TOPICS=true"
		} else if name, value, ok := setting(do); ok {
			do += fmt.Sprintf(": kafka-configs --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s", s.Kafka.Brokers[0], g.Topic, name, value)
			if len(g.topics) > 1 {
				do += ", and so for each"
			}
		}
		r.add(check, level, subject(g.topics)+" "+what, why, do)
	}
	if !missing {
		m.partitions(ctx, r, s, adm, specs)
	}
	if !r.Has(CheckTopics, Fail) && !r.Has(CheckTopics, Warn) {
		r.ok(CheckTopics, "%d topics are as they should be", len(specs))
	}
	return !missing
}

// subject names topics: all of a few, the first of many.
func subject(names []string) string {
	if len(names) == 1 {
		return "topic " + names[0]
	}
	if len(names) <= 3 {
		return "each of " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("each of %d topics (%s …)", len(names), names[0])
}

// setting reads "set name=value".
func setting(do string) (name, value string, ok bool) {
	rest, ok := strings.CutPrefix(do, "set ")
	if !ok || strings.ContainsAny(rest, " ,") {
		return "", "", false
	}
	return strings.Cut(rest, "=")
}

// partitions bound how many routers and senders can work; further topics of CDRs
// are nobody's to make but upstream's.
func (m Machine) partitions(ctx context.Context, r *Report, s settings, adm *kadm.Client, specs []topic.Spec) {
	details, err := adm.ListTopics(ctx)
	if err != nil {
		return // topics were listed a moment ago
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		if _, there := details[name]; !there {
			r.add(CheckTopics, Fail, fmt.Sprintf("topic %s, which AFTERCALL_SOURCES names, does not exist or may not be seen", name), "routers wait for it, or end",
				"have upstream make it, let this user describe it, or take it out of AFTERCALL_SOURCES")
		}
	}
	var few []string
	for _, spec := range specs {
		want := spec.Partitions
		if s.Kafka.Embedded {
			want = spec.EmbeddedPartitions
		}
		if have := len(details[spec.Name].Partitions); have < int(want) {
			few = append(few, fmt.Sprintf("%s has %d of %d", spec.Name, have, want))
		}
	}
	if len(few) > 0 {
		r.add(CheckTopics, Warn, "topics have fewer partitions than Aftercall makes: "+strings.Join(few, ", "), "no more routers or senders can work at once than there are partitions",
			"add some while all of Aftercall stands still: kafka-topics --alter --topic NAME --partitions N; or keep it, if that is enough")
	}
}

// newest are the last records of a topic, up to n of each partition.
func newest(ctx context.Context, c kafka.Config, adm *kadm.Client, name string, n int64) (from, to map[int32]int64, err error) {
	starts, err := adm.ListStartOffsets(ctx, name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking where %s begins: %w", name, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("asking where %s ends: %w", name, err)
	}
	from, to = map[int32]int64{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(name, o.Partition)
		to[o.Partition], from[o.Partition] = o.Offset, max(start.Offset, o.Offset-n)
	})
	return from, to, nil
}

// lookFor bounds a reading of a few records.
const lookFor = 15 * time.Second
