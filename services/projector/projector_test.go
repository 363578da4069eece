package projector_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/services/projector"
)

// TestTheProjectorWorksOnEachBrokerAndStore projects into PostgreSQL, from the embedded broker and from a
// real Kafka.
func TestTheProjectorWorksOnEachBrokerAndStore(t *testing.T) {
	kafkatest.OnBoth(t, func(t *testing.T, c kafka.Config) {
		t.Run("sqlite", func(t *testing.T) { projects(t, c, storetest.SQLite(t)) })
	})
	t.Run("postgres", func(t *testing.T) { projects(t, kafkatest.Start(t).Config(), storetest.Postgres(t)) })
}

func projects(t *testing.T, c kafka.Config, db *store.DB) {
	rs := storetest.Feed(11, 40)
	var kept []storetest.Record
	for _, r := range rs {
		switch {
		case r.Event != nil:
			kafkatest.Produce(t, c, record.New(topic.Events, r.Event.EventId, r.Event, time.Now()))
		case r.Attempt != nil:
			kafkatest.Produce(t, c, record.New(topic.History, r.Attempt.DeliveryId, r.Attempt.Attempt, time.Now()))
		default:
			continue
		}
		kept = append(kept, r)
	}
	health, registry := lifecycle.NewHealth(), prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- projector.Run(ctx, projector.Config{Kafka: c, Instance: "projector-1"}, projector.Deps{Registry: registry, Health: health, Store: db})
	}()
	m := storetest.ModelOf(kept)
	kafkatest.WaitFor(t, "all attempts to be in the store", func() bool {
		var attempts, events int
		row := db.SQL().QueryRow("select (select count(*) from attempts), (select count(*) from events)")
		return row.Scan(&attempts, &events) == nil && attempts == len(m.Attempts) && events == len(m.Events)
	})
	kafkatest.WaitFor(t, "readiness", func() bool { return health.Err() == nil })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	storetest.CheckModel(t, db, m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range families {
		got[f.GetName()] = true
	}
	for _, want := range []string{"aftercall_projector_rows_total", "aftercall_projector_lag_seconds", "aftercall_projector_batch_seconds"} {
		if !got[want] {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestAWrongBrokerAddressIsNamed(t *testing.T) {
	health := lifecycle.NewHealth()
	err := projector.Run(t.Context(), projector.Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}}, projector.Deps{Health: health, Store: storetest.SQLite(t)})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("ended with %v", err)
	}
	if health.Err() == nil {
		t.Error("it says it is ready")
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("run", func(t *testing.T) { projects(t, kafkatest.Start(t).Config(), storetest.SQLite(t)) })
	kafkatest.NothingLeft(t, before)
}
