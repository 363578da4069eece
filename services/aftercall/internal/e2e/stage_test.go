package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
)

const (
	signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	apiToken      = "act_e2e_0123456789abcdef0123456789abcdef"
)

// stage is a broker and a store, and what services need to know to run on them.
type stage struct {
	t      *testing.T
	folder string
	kafka  kafka.Config
	// databaseURL and store are the same database.
	databaseURL string
	store       *store.DB
	keyset      *secret.Keyset
	// env is common to all services.
	env []string
}

// onBoth runs a test on the embedded broker with SQLite, and on the real Kafka with
// PostgreSQL.
func onBoth(t *testing.T, body func(t *testing.T, s *stage)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { body(t, onEmbedded(t)) })
	t.Run("real", func(t *testing.T) { body(t, onReal(t)) })
}

// onEmbedded is the embedded broker, with a folder, and SQLite.
func onEmbedded(t *testing.T) *stage {
	t.Helper()
	folder := t.TempDir()
	broker, err := embedded.Start(embedded.Config{
		Dir: filepath.Join(folder, "broker"), OnFatal: func(err error) { t.Errorf("embedded broker: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	c := kafka.Config{Brokers: []string{broker.Addr()}, EnsureTopics: true, FetchWait: 250 * time.Millisecond}
	// Services of their own believe that they are on a large broker: settings as
	// there, partitions as the embedded one can carry.
	specs := topic.All()
	for i := range specs {
		specs[i].Partitions = specs[i].EmbeddedPartitions
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := kafka.Ensure(ctx, kadm.NewClient(kafkatest.Client(t, c)), specs, kafka.EnsureOptions{Replication: 1}); err != nil {
		t.Fatal(err)
	}
	return newStage(t, folder, c, "sqlite:"+filepath.Join(folder, "aftercall.db"))
}

// onReal is the real Kafka, alone on it, and a database of its own in the real
// PostgreSQL.
func onReal(t *testing.T) *stage {
	t.Helper()
	c := kafkatest.Real(t)
	return newStage(t, t.TempDir(), c, realDatabase(t))
}

const databaseVariable = "AFTERCALL_TEST_DATABASE_URL"

// realDatabase makes an empty database in the PostgreSQL at
// AFTERCALL_TEST_DATABASE_URL.
func realDatabase(t *testing.T) string {
	t.Helper()
	server := os.Getenv(databaseVariable)
	if server == "" {
		const how = "NOT RUN on a real PostgreSQL: run `make real-up`, then `make test-real` (or set " + databaseVariable + ")"
		if os.Getenv("AFTERCALL_REQUIRE_REAL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return newDatabase(t, server)
}

func newDatabase(t *testing.T, server string) string {
	t.Helper()
	name := fmt.Sprintf("e2e_%d_%d", os.Getpid(), time.Now().UnixNano())
	execute(t, server, "create database "+name)
	t.Cleanup(func() { execute(t, server, "drop database if exists "+name+" with (force)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func execute(t *testing.T, server, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func newStage(t *testing.T, folder string, c kafka.Config, databaseURL string) *stage {
	t.Helper()
	keyset, _, err := secret.OpenOrCreateFile(filepath.Join(folder, "keyset.json"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Config{URL: databaseURL}.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &stage{
		t: t, folder: folder, kafka: c, databaseURL: databaseURL, store: db, keyset: keyset,
		env: []string{
			"AFTERCALL_BROKERS=" + strings.Join(c.Brokers, ","),
			"AFTERCALL_TOPIC_REPLICATION=1",
			"AFTERCALL_OPS_LISTEN=127.0.0.1:0",
		},
	}
}

// open lets webhooks go to this machine, by plain http.
var open = []string{"AFTERCALL_ALLOW_ADDRESSES=127.0.0.0/8:*", "AFTERCALL_ALLOW_HTTP=true"}

// inFlight is the most requests of a sender of ours.
const inFlight = 32

// start runs a service until the test is over, and returns when it is ready.
func (s *stage) start(name string, env ...string) *process {
	s.t.Helper()
	p := s.begin(name, env...)
	p.ready()
	return p
}

// begin runs a service, ready or not.
func (s *stage) begin(name string, env ...string) *process {
	s.t.Helper()
	all := append([]string(nil), s.env...)
	switch name {
	case "router":
		all = append(all, "AFTERCALL_INSTANCE=router-0")
	case "projector":
		all = append(all, "AFTERCALL_INSTANCE=projector-0", "AFTERCALL_DATABASE_URL="+s.databaseURL)
	case "sender":
		all = append(all, "AFTERCALL_INSTANCE=sender-0", "AFTERCALL_KEYSET_FILE="+filepath.Join(s.folder, "keyset.json"), fmt.Sprintf("AFTERCALL_MAX_IN_FLIGHT=%d", inFlight))
	case "admin":
		all = append(all, "AFTERCALL_DATABASE_URL="+s.databaseURL, "AFTERCALL_KEYSET_FILE="+filepath.Join(s.folder, "keyset.json"),
			"AFTERCALL_LISTEN=127.0.0.1:0", "AFTERCALL_ADMIN_TOKEN="+apiToken)
	}
	return launch(s.t, s.folder, name, nil, append(all, env...))
}

// subscribe publishes a subscription as admin would. What is left out is taken from
// the defaults; it is signed with signingSecret.
func (s *stage) subscribe(sub subscription.Subscription) {
	s.t.Helper()
	sub.Version, sub.Tenant, sub.Format, sub.Active = 1, subscription.DefaultTenant, subscription.FormatCDR, true
	sub.CreatedAt, sub.UpdatedAt = time.Now(), time.Now()
	if sub.Name == "" {
		sub.Name = sub.ID
	}
	if len(sub.Events) == 0 {
		sub.Events = []string{topic.TypeQueue}
	}
	if sub.MaxConcurrency == 0 {
		sub.MaxConcurrency = inFlight
	}
	if sub.Schedule == "" {
		sub.Schedule = subscription.DefaultSchedule
	}
	var err error
	if sub.SealedSecret, err = s.keyset.Seal(sub.ID, secret.FieldSecret, []byte(signingSecret)); err != nil {
		s.t.Fatal(err)
	}
	kafkatest.Produce(s.t, s.kafka, record.New(topic.Subscriptions, sub.ID, subscription.ToProto(&sub), time.Now()))
}

// freeAddress is one that nobody listens on until the test does, again and again.
func freeAddress(t *testing.T) string {
	t.Helper()
	return kafkatest.Address(t)
}

func rawSecret(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := webhook.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
