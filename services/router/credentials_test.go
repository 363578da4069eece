package router_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
)

// session is short: it is renewed many times in a test.
const session = 1500 * time.Millisecond

func TestATokenThatExpiresIsWaitedForUntilItIsRenewed(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		// In one step, as whoever renews it has to: half of it is no token.
		if err := os.WriteFile(file+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	door := b.Guard("first", session)
	known := c
	known.Security = kafka.Security{Mechanism: "OAUTHBEARER", TokenFile: file}
	r := start(t, known, "r1")
	all := calls(300)
	kafkatest.Produce(t, c, all[:100]...)
	exactly(t, c, 100)
	began := door.Admitted()
	kafkatest.WaitFor(t, "sessions to be renewed", func() bool { return door.Admitted() > began+5 })

	door.Change("second")
	kafkatest.WaitFor(t, "the health to tell", func() bool { return door.Refused() > 5 && r.health.Err() != nil })
	kafkatest.Produce(t, c, all[100:200]...)
	write("second")
	exactly(t, c, 200)
	kafkatest.WaitFor(t, "the health to recover", func() bool { return r.health.Err() == nil })
	kafkatest.Produce(t, c, all[200:]...)
	exactly(t, c, 300)
}

func TestAPasswordThatIsNotAcceptedAnyMoreStopsTheRouterWithTheSettingToChange(t *testing.T) {
	b := kafkatest.Start(t)
	c := b.Config()
	subscribe(t, c, queueSubscription("sub_a"))
	door := b.Guard("first", session)
	known := c
	known.Security = kafka.Security{Mechanism: "PLAIN", Username: "aftercall", Password: "first"}
	r := start(t, known, "r1")
	all := calls(200)
	kafkatest.Produce(t, c, all[:100]...)
	exactly(t, c, 100)
	door.Change("second")
	kafkatest.Produce(t, c, all[100:]...)
	r.explains("AFTERCALL_KAFKA_SASL_PASSWORD")
	known.Security.Password = "second"
	start(t, known, "r1")
	exactly(t, c, 200)
}
