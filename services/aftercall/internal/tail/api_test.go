package tail

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret/secrettest"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/admin"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// serve runs the real API at an address until stop is called.
func serve(t *testing.T, broker *kafkatest.Broker, db *store.DB, address string) (base string, stop func()) {
	t.Helper()
	keyset := secrettest.Keyset(t)
	policy, err := safedial.NewPolicy(safedial.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- admin.Run(ctx, admin.Config{Kafka: broker.Config()}, admin.Deps{
			Logger: zap.NewNop(), Registry: prometheus.NewRegistry(), Health: lifecycle.NewHealth(), Store: db, Keyset: keyset, Policy: policy, Listener: listener,
		})
	}()
	return listener.Addr().String(), func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// What was written while the service was away is printed too, by the API itself.
func TestTheAPIGoesOnWhereATailWasAfterARestart(t *testing.T) {
	broker, db := kafkatest.Start(t), storetest.SQLite(t)
	token := admin.NewToken()
	if err := admin.EnsureToken(t.Context(), db, token, "test", admin.Scopes()); err != nil {
		t.Fatal(err)
	}
	address, stop := serve(t, broker, db, "127.0.0.1:0")
	c, err := client.New("http://"+address, token)
	if err != nil {
		t.Fatal(err)
	}
	put := func(id string, result aftercallv1.Attempt_Result) {
		now := time.Now()
		kafkatest.Produce(t, broker.Config(), record.New(topic.History, "dlv_"+id, &aftercallv1.Attempt{
			AttemptId: id, DeliveryId: "dlv_" + id, SubscriptionId: "sub_1", EventType: topic.TypeQueue, StartedAt: timestamppb.New(now), Result: result,
		}, now))
	}
	var out, errs lines
	tail := &tailer{filter: filter{Result: "failed"}, out: &out, errs: &errs, json: true}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tail.listen(ctx, c) }()
	const failed, taken = aftercallv1.Attempt_RESULT_FAILED, aftercallv1.Attempt_RESULT_DELIVERED
	// The stream begins at the end of the history, which is when nobody knows: what
	// is repeated until it comes shows that it has.
	kafkatest.WaitFor(t, "the stream to begin", func() bool { put("first", failed); return out.count() > 0 })
	stop()
	put("other", taken)
	put("missed", failed)
	_, stop = serve(t, broker, db, address)
	kafkatest.WaitFor(t, "what was missed", func() bool { return strings.Contains(out.String(), `"missed"`) })
	put("last", failed)
	kafkatest.WaitFor(t, "what comes", func() bool { return strings.Contains(out.String(), `"last"`) })
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	stop()
	if strings.Count(out.String(), `"missed"`) != 1 || strings.Contains(out.String(), `"other"`) {
		t.Errorf("printed %s", out.String())
	}
}
