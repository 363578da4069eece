package logging_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/logging"
)

func TestAFileGetsOneJSONObjectALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	log, err := logging.New(out, "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("delivery.skipped")
	log.Info("delivery.attempted", logging.Event("evt_a"), logging.Delivery("dlv_b"), logging.Attempt("c"),
		logging.Subscription("sub_d"), logging.Position("aftercall.deliveries", 3, 42))

	line, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", got["time"]); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]string{
		"level": "info", "msg": "delivery.attempted", "event_id": "evt_a", "delivery_id": "dlv_b", "attempt_id": "c",
		"subscription_id": "sub_d", "position": "aftercall.deliveries/3@42",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestAnUnknownLevelIsAnError(t *testing.T) {
	if _, err := logging.New(os.Stderr, "loud"); err == nil {
		t.Fatal("want an error")
	}
}
