//go:build proof

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// guarded is a listener of a cluster that allows its users what acls.sh grants, and
// nobody on it anything else.
func guarded(t *testing.T, users []string) outer {
	t.Helper()
	var logins strings.Builder
	for _, u := range users {
		fmt.Fprintf(&logins, ` user_%s="secret"`, u)
	}
	return outer{
		address: freeAddress(t), protocol: "SASL_PLAINTEXT",
		properties: `authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required` + logins.String() + ";\n",
	}
}

// aclCommand is kafka-acls.sh as the tools' jars have it.
func aclCommand(t *testing.T) string {
	t.Helper()
	tools := os.Getenv("AFTERCALL_TEST_KAFKA_TOOLS")
	if tools == "" {
		t.Fatal("AFTERCALL_TEST_KAFKA_TOOLS is not set: run `make proof`")
	}
	path := filepath.Join(t.TempDir(), "kafka-acls")
	// A quick start counts here: each rule is a process of its own.
	text := "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '" + filepath.Join(tools, "*") + "' org.apache.kafka.tools.AclCommand \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProofThatEachServiceNeedsNoRightButItsOwn(t *testing.T) {
	users := []string{"router", "sender", "projector", "admin", "upstream", "operator"}
	o := guarded(t, users)
	c := newCluster(t, 1, nil, o)
	as := func(user string) kafka.Config {
		k := c.config()
		k.Brokers = []string{o.address}
		k.Security = kafka.Security{Mechanism: "PLAIN", Username: user, Password: "secret"}
		return k
	}
	command := aclCommand(t)
	for _, user := range users {
		grant := exec.CommandContext(t.Context(), "../../../../deployments/kafka/acls.sh", user, "User:"+user, "--bootstrap-server", c.config().Brokers[0])
		grant.Env = append(os.Environ(), "KAFKA_ACLS="+command)
		if out, err := grant.CombinedOutput(); err != nil {
			t.Fatalf("granting %s its rights: %v\n%s", user, err, out)
		}
	}
	if err := kafka.Prepare(t.Context(), as("operator"), topic.All()); err != nil {
		t.Fatalf("making topics as the operator: %v", err)
	}

	s := newStage(t, t.TempDir(), c.config(), realDatabase(t))
	s.env = append(s.env, "AFTERCALL_BROKERS="+o.address, "AFTERCALL_ENSURE_TOPICS=false", "AFTERCALL_KAFKA_SASL_MECHANISM=PLAIN", "AFTERCALL_KAFKA_SASL_PASSWORD=secret")
	login := func(user string, more ...string) []string {
		return append([]string{"AFTERCALL_KAFKA_SASL_USERNAME=" + user}, more...)
	}
	processes := []*process{
		s.start("admin", login("admin", open...)...), s.start("router", login("router")...),
		s.start("sender", login("sender", open...)...), s.start("projector", login("projector")...),
	}
	a := apiOf(t, processes[0])
	fine, mended := newReceiver(t, listen.Options{}), newReceiver(t, listen.Options{Fail: listen.Fail{Status: http.StatusServiceUnavailable, Times: 1}})
	broken := newReceiver(t, listen.Options{Fail: listen.Fail{Status: http.StatusServiceUnavailable}})
	arrives := a.webhook(fine.URL, []string{topic.TypeQueue}, nil)
	a.webhook(mended.URL, []string{topic.TypeQueue}, nil)
	waits := a.webhook(broken.URL+"/waits", []string{topic.TypeQueue}, nil)
	a.webhook(broken.URL+"/once", []string{topic.TypeQueue}, map[string]any{"schedule": "once"})

	// The whole way: a CDR that arrives, that is tried again over a delay topic, that
	// waits, that is given up; and a record that is no CDR.
	kafkatest.Produce(t, as("upstream"), kafkatest.CDR(topic.CDRQueue, "call", `{"CallId":"call"}`), kafkatest.CDR(topic.CDRQueue, "bad", `{}`))
	wait(t, "both receivers", func() bool { return fine.delivered() == 1 && mended.delivered() == 1 })
	s.counted("what arrived", store.StateDelivered, 2)
	s.counted("what was given up", store.StateGivenUp, 1)
	s.counted("what waits", store.StateWaiting, 1)
	wait(t, "the rejection", func() bool {
		rows, _, err := s.store.Rejections(t.Context(), store.RejectionQuery{})
		return err == nil && len(rows) == 1
	})
	// What admin does by itself: a test, and all that waits sent now.
	for _, path := range []string{"/subscriptions/" + arrives + "/test", "/subscriptions/" + waits + "/send-waiting"} {
		if status := a.do(http.MethodPost, path, map[string]any{}, nil); status != http.StatusAccepted {
			t.Errorf("%s: %d", path, status)
		}
	}
	wait(t, "the test", func() bool { return fine.delivered() == 2 })
	wait(t, "the end of sending what waits", func() bool {
		last, err := s.store.LastSendWaiting(t.Context(), waits)
		return err == nil && last.State == store.SendDone
	})

	for _, p := range processes {
		if text, _ := os.ReadFile(p.logFile); strings.Contains(string(text), "AUTHORIZATION_FAILED") {
			t.Errorf("%s was refused something:\n%s", p.name, p.tail(20))
		}
	}
	// Who may write nowhere is refused before a topic is looked at.
	for user, topics := range map[string][]string{
		"router": {topic.History, topic.Subscriptions}, "sender": {topic.Events, topic.Subscriptions},
		"projector": {topic.Events}, "admin": {topic.History, topic.Events}, "upstream": {topic.Deliveries, topic.CDRSystem},
	} {
		client := kafkatest.Client(t, as(user))
		for _, name := range topics {
			r := kafkatest.CDR(name, "k", "{}")
			r.Timestamp = time.Now()
			if err := client.ProduceSync(t.Context(), r).FirstErr(); !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
				t.Errorf("%s writes to %s: %v", user, name, err)
			}
		}
	}
}
