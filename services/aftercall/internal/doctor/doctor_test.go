package doctor

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// deployment is one without a fault, to be spoilt: a broker whose topics are as on
// a cluster, a database, a keyset and one webhook sealed with it, and admin.
type deployment struct {
	t       *testing.T
	kafka   kafka.Config
	keyset  *secret.Keyset
	dbFile  string
	environ map[string]string
	machine Machine
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	b, err := embedded.Start(embedded.Config{ClusterID: "a cluster", OnFatal: func(err error) { t.Errorf("embedded broker: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return deployOn(t, b.Kafka())
}

func deployOn(t *testing.T, c kafka.Config) *deployment {
	t.Helper()
	c.Embedded = false
	d := &deployment{t: t, kafka: c, dbFile: filepath.Join(t.TempDir(), "aftercall.db"), environ: map[string]string{}}
	if err := kafka.Ensure(t.Context(), kafkatest.Admin(t, c), topic.All(), kafka.EnsureOptions{Replication: 1}); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), d.dbFile, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := secret.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	if d.keyset, err = secret.Open(text); err != nil {
		t.Fatal(err)
	}
	d.webhook("sub_one", d.keyset)
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ready\nstore: ok\n") }))
	t.Cleanup(admin.Close)
	d.environ["AFTERCALL_BROKERS"] = strings.Join(c.Brokers, ",")
	d.environ["AFTERCALL_DATABASE_URL"] = "sqlite:" + d.dbFile
	d.environ["AFTERCALL_KEYSET"] = string(text)
	d.environ["AFTERCALL_LISTEN"] = "127.0.0.1:0"
	d.environ["AFTERCALL_OPS_LISTEN"] = "127.0.0.1:0"
	d.environ["AFTERCALL_PUBLIC_URL"] = admin.URL
	d.machine = Machine{Between: time.Millisecond}
	return d
}

// webhook is published with its secret sealed.
func (d *deployment) webhook(id string, k *secret.Keyset) {
	d.t.Helper()
	sealed, err := k.Seal(id, secret.FieldSecret, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		d.t.Fatal(err)
	}
	kafkatest.Produce(d.t, d.kafka, record.New(topic.Subscriptions, id, &aftercallv1.Subscription{Id: id, Version: 1, SealedSecret: sealed}, time.Now()))
}

func (d *deployment) look() Report {
	d.t.Helper()
	for name, value := range d.environ {
		d.machine.Environ = append(d.machine.Environ, name+"="+value)
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*kafkatest.Patience)
	defer cancel()
	return Look(ctx, d.machine)
}

func (d *deployment) withoutTopics() {
	d.t.Helper()
	var all []string
	for _, s := range topic.All() {
		all = append(all, s.Name)
	}
	if _, err := d.adm().DeleteTopics(d.t.Context(), all...); err != nil {
		d.t.Fatal(err)
	}
}

// admin is another kafka client's.
func (d *deployment) adm() *kadm.Client { return kafkatest.Admin(d.t, d.kafka) }

func TestADeploymentWithoutAFaultHasNothingToMend(t *testing.T) {
	r := deploy(t).look()
	if r.Count(Fail) != 0 {
		t.Errorf("%s", r.text())
	}
	for _, check := range []string{CheckSettings, CheckBroker, CheckSecurity, CheckKeys, CheckClock, CheckDatabase, CheckMigration, CheckPorts, CheckAdmin, CheckRouters} {
		if !r.Has(check, OK) {
			t.Errorf("%s is not said to be well:\n%s", check, r.text())
		}
	}
}

func TestEachPlantedMisconfigurationIsNamedByItsFinding(t *testing.T) {
	for _, tc := range []struct {
		planted, check string
		level          Level
		// names are what the finding has to say, in its texts.
		names []string
		plant func(d *deployment)
	}{
		{"a variable that nobody knows", CheckSettings, Fail, []string{"AFTERCALL_BROKER ", "AFTERCALL_BROKERS"}, func(d *deployment) { d.environ["AFTERCALL_BROKER"] = "x:1" }},
		{"a broker that cannot be reached", CheckBroker, Fail, []string{"127.0.0.1:1", "AFTERCALL_BROKERS"}, func(d *deployment) { d.environ["AFTERCALL_BROKERS"] = "127.0.0.1:1" }},
		{"a wrong password for SASL", CheckSecurity, Fail, []string{"AFTERCALL_KAFKA_SASL_USERNAME"}, func(d *deployment) {
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "aftercall", "right"))
			if err != nil {
				d.t.Fatal(err)
			}
			d.t.Cleanup(c.Close)
			d.environ["AFTERCALL_BROKERS"] = c.ListenAddrs()[0]
			d.environ["AFTERCALL_KAFKA_SASL_MECHANISM"] = "SCRAM-SHA-256"
			d.environ["AFTERCALL_KAFKA_SASL_USERNAME"], d.environ["AFTERCALL_KAFKA_SASL_PASSWORD"] = "aftercall", "guess"
		}},
		{"a missing topic", CheckTopics, Fail, []string{topic.History, "does not exist", "aftercall topics"}, func(d *deployment) {
			if _, err := d.adm().DeleteTopics(d.t.Context(), topic.History); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"a cluster before the first start", CheckTopics, Warn, []string{"no topic exists yet", "aftercall topics"}, func(d *deployment) { d.withoutTopics() }},
		{"a cluster before the first start, where services may not make topics", CheckTopics, Fail, []string{"does not exist", "aftercall topics"}, func(d *deployment) {
			d.withoutTopics()
			d.environ["AFTERCALL_ENSURE_TOPICS"] = "false"
		}},
		{"a further topic that is missing", CheckTopics, Fail, []string{"contoso.queue.v2", "AFTERCALL_SOURCES"}, func(d *deployment) {
			d.environ["AFTERCALL_SOURCES"] = "contoso.queue.v2=App.QueueWebhook"
		}},
		{"a short retention", CheckRetention, Fail, []string{topic.Deliveries, "1h0m0s", "--add-config retention.ms=604800000"}, func(d *deployment) {
			value := "3600000"
			if _, err := d.adm().AlterTopicConfigs(d.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic.Deliveries); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"another key than the one that secrets are sealed with", CheckKeys, Fail, []string{"sub_other", "AFTERCALL_KEYSET_FILE"}, func(d *deployment) {
			d.webhook("sub_other", secrettest.Keyset(d.t))
		}},
		{"a keyset that is none", CheckKeys, Fail, []string{"AFTERCALL_KEYSET"}, func(d *deployment) { d.environ["AFTERCALL_KEYSET"] = "hunter2" }},
		{"a clock that is off by 5 minutes", CheckClock, Fail, []string{"this machine is 5m", "ahead of the Date", "NTP"}, func(d *deployment) {
			d.machine.Now = func() time.Time { return time.Now().Add(5 * time.Minute) }
		}},
		{"a router's clock that the broker's is 5 minutes behind", CheckClock, Fail, []string{"the brokers is 5m0s behind that of the routers"}, func(d *deployment) {
			now := time.Now()
			kafkatest.Produce(d.t, d.kafka, record.New(topic.Events, "evt_1", &aftercallv1.Event{EventId: "evt_1", RoutedAt: timestamppb.New(now.Add(5 * time.Minute))}, now))
		}},
		{"a clock that is off by 20 seconds", CheckClock, Warn, []string{"behind the Date"}, func(d *deployment) {
			d.machine.Now = func() time.Time { return time.Now().Add(-20 * time.Second) }
		}},
		{"a database behind on migrations", CheckMigration, Fail, []string{"is at migration 1"}, func(d *deployment) {
			db, err := sql.Open("sqlite", d.dbFile)
			if err != nil {
				d.t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if _, err := db.ExecContext(d.t.Context(), "delete from goose_db_version where version_id > 1"); err != nil {
				d.t.Fatal(err)
			}
		}},
		{"a database that is not there", CheckDatabase, Fail, []string{"AFTERCALL_DATABASE_URL"}, func(d *deployment) {
			d.environ["AFTERCALL_DATABASE_URL"] = "postgres://aftercall:hunter2@127.0.0.1:1/aftercall"
		}},
		{"a port that something else holds", CheckPorts, Fail, []string{"AFTERCALL_OPS_LISTEN", "ss -ltnp"}, func(d *deployment) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				d.t.Fatal(err)
			}
			server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
			go func() { _ = server.Serve(ln) }()
			d.t.Cleanup(func() { _ = server.Close() })
			d.environ["AFTERCALL_OPS_LISTEN"] = ln.Addr().String()
		}},
		{"a disk that is nearly full", CheckDisk, Fail, []string{"0.5 GiB free", "below 2.0 GiB"}, func(d *deployment) {
			// Only the one-process edition has its data here.
			d.machine.Data, d.machine.Broker = filepath.Dir(d.dbFile), kafkatest.Start(d.t).Addr
			if err := os.WriteFile(filepath.Join(d.machine.Data, "keyset.json"), []byte(d.environ["AFTERCALL_KEYSET"]), 0o600); err != nil {
				d.t.Fatal(err)
			}
			delete(d.environ, "AFTERCALL_BROKERS")
			d.machine.Disk = func(string) (free, size int64, err error) { return 512 << 20, 100 << 30, nil }
		}},
		{"two routers with one name", CheckRouters, Fail, []string{"2 routers go by the name router-0", "AFTERCALL_INSTANCE"}, func(d *deployment) {
			for range 2 {
				member := kafkatest.Client(d.t, d.kafka, append(d.kafka.Group(kafka.GroupOptions{Group: topic.GroupRouter, Topics: []string{topic.CDRQueue}}),
					kgo.ClientID("aftercall-router-router-0"))...)
				go func() {
					for d.t.Context().Err() == nil {
						member.PollFetches(d.t.Context())
					}
				}()
			}
			kafkatest.WaitFor(d.t, "both to be members", func() bool {
				described, err := d.adm().DescribeGroups(d.t.Context(), topic.GroupRouter)
				return err == nil && len(described[topic.GroupRouter].Members) == 2
			})
		}},
		{"a name that is taken over again and again", CheckRouters, Fail, []string{"the name router-0 was taken over", "AFTERCALL_INSTANCE"}, func(d *deployment) {
			d.machine.Between = kafkatest.Patience // it ends as soon as it is seen
			owner := takePart(d.t, d.kafka, "router-0")
			go func() {
				for d.t.Context().Err() == nil {
					if next, err := takeOver(d.t.Context(), d.kafka, "router-0"); err == nil {
						owner.Close()
						owner = next
					}
				}
				owner.Close()
			}()
		}},
		{"records that nobody works on", CheckGroups, Fail, []string{"nobody works in aftercall-sender, and 1 records", "start a sender"}, func(d *deployment) {
			kafkatest.Produce(d.t, d.kafka, record.New(topic.Deliveries, "sub_one/0", &aftercallv1.Delivery{DeliveryId: "dlv_1"}, time.Now()))
		}},
		{"an admin that does not answer", CheckAdmin, Fail, []string{"admin does not answer"}, func(d *deployment) { d.environ["AFTERCALL_PUBLIC_URL"] = "http://127.0.0.1:1" }},
	} {
		t.Run(strings.ReplaceAll(tc.planted, " ", "_"), func(t *testing.T) {
			d := deploy(t)
			tc.plant(d)
			r := d.look()
			found := false
			for _, f := range r {
				// What a test produces waits for somebody too.
				if f.Level == Fail && f.Check != tc.check && f.Check != CheckGroups {
					t.Errorf("something else is named: %s: %s", f.Check, f.What)
				}
				if f.Check != tc.check || f.Level != tc.level {
					continue
				}
				text := f.What + "\n" + f.Why + "\n" + f.Do
				all := f.Why != "" && f.Do != ""
				for _, name := range tc.names {
					all = all && strings.Contains(text, name)
				}
				found = found || all
			}
			if !found {
				t.Errorf("no finding of %s at %s names %q:\n%s", tc.check, tc.level, tc.names, r.text())
			}
			if strings.Contains(r.text(), "hunter2") {
				t.Error("a secret is printed")
			}
		})
	}
}

func TestAPortThatAftercallHoldsIsNoFault(t *testing.T) {
	d := deploy(t)
	d.environ["AFTERCALL_LISTEN"] = strings.TrimPrefix(d.environ["AFTERCALL_PUBLIC_URL"], "http://")
	delete(d.environ, "AFTERCALL_PUBLIC_URL")
	r := d.look()
	if r.Count(Fail) != 0 || !r.Has(CheckAdmin, OK) || !strings.Contains(r.text(), "(AFTERCALL_LISTEN) is held by Aftercall itself") {
		t.Errorf("%s", r.text())
	}
}

func TestTheBrokerOfAOneProcessEditionIsNoClusterWithFaults(t *testing.T) {
	for _, folder := range []bool{true, false} {
		d := deploy(t)
		b := kafkatest.Start(t)
		d.kafka = b.Config()
		d.webhook("sub_one", d.keyset)
		keyset := d.environ["AFTERCALL_KEYSET"]
		d.environ = map[string]string{"AFTERCALL_BROKERS": b.Addr, "AFTERCALL_LISTEN": "127.0.0.1:0"}
		d.machine.Data = t.TempDir()
		if folder {
			d.machine.Data = filepath.Dir(d.dbFile)
			if err := os.WriteFile(filepath.Join(d.machine.Data, "keyset.json"), []byte(keyset), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := d.look()
		if r.Count(Fail) != 0 || !strings.Contains(r.text(), "is the broker of a one-process edition") || r.Has(CheckTopics, Warn) || r.Has(CheckCluster, Warn) {
			t.Errorf("with a data folder (%v):\n%s", folder, r.text())
		}
		if r.Has(CheckDatabase, OK) != folder {
			t.Errorf("with a data folder (%v) the database is looked at %v:\n%s", folder, !folder, r.text())
		}
	}
}

func TestWhatIsAtAdminsDefaultAddressIsNotTakenForTheSendersAdmin(t *testing.T) {
	d := deploy(t)
	for _, name := range []string{"AFTERCALL_PUBLIC_URL", "AFTERCALL_DATABASE_URL", "AFTERCALL_LISTEN"} {
		delete(d.environ, name)
	}
	r := Report{}
	d.machine.Environ = []string{"AFTERCALL_BROKERS=" + d.environ["AFTERCALL_BROKERS"]}
	d.machine.admin(t.Context(), &r, settings{Listen: "127.0.0.1:8420"}, true)
	if r.Count(Fail) != 0 || !r.Has(CheckAdmin, Warn) || !strings.Contains(r.text(), "127.0.0.1:8420, admin's default address") {
		t.Errorf("%s", r.text())
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ready\nstore: ok\n") }))
	defer api.Close()
	d.environ["AFTERCALL_API"] = api.URL + "/api/v1"
	if r := d.look(); r.Count(Fail) != 0 || !strings.Contains(r.text(), "admin is ready at "+api.URL+"\n") {
		t.Errorf("%s", r.text())
	}
}

func TestTheCommandPrintsLinesInAPipeAndEndsWithOneOnAFault(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AFTERCALL_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("AFTERCALL_BROKERS", "127.0.0.1:1")
	t.Setenv("AFTERCALL_OPS_LISTEN", "")
	t.Setenv("AFTERCALL_LISTEN", "127.0.0.1:0")
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(nil)
	err := cmd.ExecuteContext(t.Context())
	if err == nil || err.Error() != "1 findings to mend" {
		t.Errorf("%v", err)
	}
	first, _, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(out.String(), `{"check":"kafka.broker","level":"fail","what":"no broker can be reached`) || !strings.HasPrefix(first, `{"check":"settings"`) {
		t.Errorf("%s", out.String())
	}
}
