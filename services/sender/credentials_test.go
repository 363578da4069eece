package sender_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/services/sender"
)

// A token that is renewed in time is not noticed, and one that comes too late is
// waited for: nothing is lost, and only what was under way is sent again.
func TestATokenThatExpiresIsWaitedForUntilItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := kafkatest.StartVirtual(t)
		c := broker.Config()
		c.FetchWait = time.Second
		h := newHarness(t, c)
		file := filepath.Join(t.TempDir(), "token")
		write := func(token string) {
			if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("first")
		door := broker.Guard("first", time.Minute)
		var got taken
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got.take(r)
			time.Sleep(3 * time.Second) // some are under way at any time
		})
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true})
		running := h.start(func(c *sender.Config, d *sender.Deps) {
			c.Kafka.Security = kafka.Security{Mechanism: "OAUTHBEARER", TokenFile: file}
			d.Transport = direct{handler}
		})
		const n = 400
		h.deliver("sub_1", n)
		until(t, 10*time.Minute, "renewed session", func() bool { return got.distinct() > 50 && door.Admitted() > 10 })
		door.Change("second")
		until(t, 10*time.Minute, "refusal", func() bool { return door.Refused() > 5 })
		time.Sleep(10 * time.Minute)
		if at := got.distinct(); at == n {
			t.Fatal("all were sent before the token expired")
		}
		write("second")
		until(t, time.Hour, "delivery of all", func() bool { return got.distinct() == n && h.committed() == n })
		until(t, time.Minute, "health", func() bool { return running.health.Err() == nil })
		running.stop(t)
		// The group takes a sender for gone that cannot say who it is: what was under
		// way, and what could not be committed any more, is sent again.
		if again := got.count() - n; again > 4*subscription.DefaultMaxConcurrency {
			t.Errorf("%d were sent again", again)
		}
	})
}
