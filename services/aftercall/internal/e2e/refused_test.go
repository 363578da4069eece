package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
	"github.com/aftercall/aftercall/services/aftercall/internal/verify"
)

func TestWhatIsNoCDRIsShownWithItsReasonAndTheFlowGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		u := newUpstream(t, s.kafka)
		r := newReceiver(t, listen.Options{})
		s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
		s.begin("router").ready()
		s.begin("projector").ready()
		s.begin("sender", open...).ready()
		admin := s.start("admin", open...)

		header := func(key, value string) []kgo.RecordHeader {
			return []kgo.RecordHeader{{Key: key, Value: []byte(value)}}
		}
		bad := []struct {
			code, names string
			record      *kgo.Record
		}{
			{"not_json", "byte 14", &kgo.Record{Value: []byte(`{"CallId":"1",`)}},
			{"not_object", "object", &kgo.Record{Value: []byte(`[1]`)}},
			{"not_utf8", "UTF-8", &kgo.Record{Value: []byte("{\"CallId\":\"\xff\"}")}},
			{"call_id_missing", "/CallId", &kgo.Record{Value: []byte(`{"QueueName":"Sales"}`)}},
			{"call_id_invalid", "/CallId", &kgo.Record{Value: []byte(`{"CallId":{}}`)}},
			{"too_large", "bytes", &kgo.Record{Value: append(append([]byte(`{"CallId":"1","Note":"`), bytes.Repeat([]byte("x"), kafka.DefaultMaxRecordBytes)...), `"}`...)}},
			{"type_contradiction", "ce_type", &kgo.Record{Value: []byte(`{"CallId":"1"}`), Headers: header("ce_type", topic.TypeAgent)}},
			{"version_unknown", record.Header, &kgo.Record{Value: []byte(`{"CallId":"1"}`), Headers: header(record.Header, "cdr/2")}},
		}
		<-u.send(topic.CDRQueue, 50, 1000)
		for _, b := range bad {
			b.record.Topic = topic.CDRQueue
			u.produce(b.record)
		}
		<-u.send(topic.CDRQueue, 50, 1000)

		wait(t, "the good ones", func() bool { return r.delivered() == 100 })
		a := apiOf(t, admin)
		for _, b := range bad {
			var rejected page[struct {
				Code     string `json:"code"`
				Field    string `json:"field"`
				Reason   string `json:"reason"`
				Position struct {
					Offset int64 `json:"offset"`
				} `json:"position"`
			}]
			// A partition without good ones may be routed later.
			wait(t, "the rejection "+b.code, func() bool {
				return a.do(http.MethodGet, "/rejected?code="+b.code, nil, &rejected) != http.StatusOK || len(rejected.Items) > 0
			})
			if len(rejected.Items) != 1 {
				t.Errorf("%s: %+v", b.code, rejected.Items)
				continue
			}
			got := rejected.Items[0]
			if !strings.Contains(got.Field+" "+got.Reason, b.names) || got.Reason == "" || got.Position.Offset != b.record.Offset {
				t.Errorf("%s does not name %s: %+v", b.code, b.names, got)
			}
		}
		rest(t, s.kafka, s.store)
		isBad := map[int64]bool{}
		for _, b := range bad {
			isBad[b.record.Offset<<8|int64(b.record.Partition)] = true
		}
		check(t, s.kafka, s.store, u, r.log(), func(run *verify.Run) {
			run.Secrets["sub_a"] = [][]byte{rawSecret(t, signingSecret)}
			run.Wants = func(c verify.CDR) []string {
				if isBad[c.Offset<<8|int64(c.Partition)] {
					return nil
				}
				return []string{"sub_a"}
			}
		})
	})
}

func TestARecordOfANewerVersionIsKeptBySendersAndStopsTheProjector(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		u := newUpstream(t, s.kafka)
		r := newReceiver(t, listen.Options{})
		s.subscribe(subscription.Subscription{ID: "sub_a", Endpoint: r.URL + "/ok"})
		s.begin("router").ready()
		projector := s.begin("projector")
		projector.ready()
		s.begin("sender", open...).ready()
		newer := func(name, kind string) *kgo.Record {
			return &kgo.Record{Topic: name, Key: []byte("sub_a/0"), Value: []byte("\xff of the future"), Timestamp: time.Now(),
				Headers: []kgo.RecordHeader{{Key: record.Header, Value: []byte(kind)}, {Key: "other", Value: []byte("kept")}}}
		}
		kafkatest.Produce(t, s.kafka, newer(topic.Deliveries, "delivery/2"))
		<-u.send(topic.CDRQueue, 50, 1000)
		wait(t, "the deliveries behind it", func() bool { return r.delivered() == 50 })
		var parked []*kgo.Record
		wait(t, "the parked record", func() bool {
			parked = kafkatest.ReadAll(t, s.kafka, "aftercall.deliveries.delay.30m")
			return len(parked) > 0
		})
		if p := parked[0]; len(parked) != 1 || string(p.Value) != "\xff of the future" || record.Kind(p) != "delivery/2" || string(p.Key) != "sub_a/0" || len(p.Headers) != 2 {
			t.Errorf("%d parked: %q %v", len(parked), p.Value, p.Headers)
		}

		projected(t, s.kafka, s.store)
		kafkatest.Produce(t, s.kafka, newer(topic.History, "attempt/2"))
		if status := projector.exit(patience); status != 1 {
			t.Errorf("the projector ended with status %d", status)
		}
		failed, _ := projector.said("service.failed")
		if text, _ := failed["error"].(string); !strings.Contains(text, "attempt/2") || !strings.Contains(text, topic.History) {
			t.Errorf("the projector stopped without saying why: %v", failed)
		}
		<-u.send(topic.CDRQueue, 50, 1000)
		wait(t, "webhooks without a projector", func() bool { return r.delivered() == 100 })
	})
}

func TestWebhooksNeverGoToAddressesThatAreNotPublic(t *testing.T) {
	s := onEmbedded(t)
	canary := newCanary(t)
	u := newUpstream(t, s.kafka)
	a := apiOf(t, s.start("admin"))
	for _, endpoint := range []string{
		"https://127.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "https://[::1]/", "https://localhost/",
		"https://10.1.2.3/", "https://0x7f.1/", "https://2130706433/", "https://127.1/", "https://[::ffff:7f00:1]/", "http://127.0.0.1/", "https://" + canary.address + "/",
	} {
		var p problem
		status := a.do(http.MethodPost, "/subscriptions", map[string]any{"name": "denied", "endpoint": endpoint, "events": []string{topic.TypeQueue}}, &p)
		if status != http.StatusUnprocessableEntity || len(p.Errors) == 0 || p.Errors[0].Pointer != "/endpoint" || p.Errors[0].Message == "" {
			t.Errorf("%s: %d %+v", endpoint, status, p)
		}
	}
	// A subscription that came another way meets the guard at the connection. The
	// canary's port is allowed, for public addresses.
	_, port, _ := strings.Cut(canary.address, ":")
	want := map[string]bool{}
	for id, endpoint := range map[string]string{
		"sub_v4": "https://127.0.0.1:" + port, "sub_mapped": "https://[::ffff:127.0.0.1]:" + port, "sub_name": "https://localhost:" + port, "sub_http": "http://127.0.0.1:" + port,
	} {
		s.subscribe(subscription.Subscription{ID: id, Endpoint: endpoint, Schedule: "once"})
		want[id] = true
	}
	s.begin("router").ready()
	s.begin("sender", "AFTERCALL_ALLOW_ADDRESSES=0.0.0.0/0:"+port).ready()
	<-u.send(topic.CDRQueue, 1, 1000)
	var attempts []*aftercallv1.Attempt
	wait(t, "an attempt for each", func() bool {
		attempts = attempts[:0]
		for _, r := range kafkatest.ReadAll(t, s.kafka, topic.History) {
			if a, err := record.OpenAs[*aftercallv1.Attempt](r); err == nil {
				attempts = append(attempts, a)
			}
		}
		return len(attempts) >= len(want)
	})
	for _, a := range attempts {
		if a.GetResult() != aftercallv1.Attempt_RESULT_NOT_SENT || a.GetReason() != "policy" || a.GetErrorClass() != aftercallv1.Attempt_ERROR_CLASS_POLICY || a.GetState() != aftercallv1.DeliveryState_DELIVERY_STATE_GIVEN_UP {
			t.Errorf("%s: %v", a.GetSubscriptionId(), a)
		}
		delete(want, a.GetSubscriptionId())
	}
	if len(want) > 0 {
		t.Errorf("no attempt of %v", want)
	}
	if n := canary.connections(); n > 0 {
		t.Errorf("%d connections were made to a denied address", n)
	}
}
