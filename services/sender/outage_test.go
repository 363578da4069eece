package sender_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/subscription"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/sender"
)

// taken counts what an endpoint has taken, by delivery.
type taken struct {
	mu sync.Mutex
	at map[string][]time.Time
}

func (k *taken) take(r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at == nil {
		k.at = map[string][]time.Time{}
	}
	id := r.Header.Get("Aftercall-Delivery-Id")
	k.at[id] = append(k.at[id], time.Now())
}

func (k *taken) distinct() int { k.mu.Lock(); defer k.mu.Unlock(); return len(k.at) }

func (k *taken) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, at := range k.at {
		n += len(at)
	}
	return n
}

// once fails when a delivery was taken twice.
func (k *taken) once(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, at := range k.at {
		if len(at) > 1 {
			t.Errorf("%s was taken at %v", id, at)
		}
	}
}

// until moves the fake clock on until cond holds, for at most limit.
func until(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	for began := time.Now(); !cond(); time.Sleep(time.Second) {
		if time.Since(began) > limit {
			t.Errorf("no %s within %v", what, limit)
			return
		}
	}
}

// virtual is a broker whose fetches wait no longer than a real deployment's: a
// delivery that comes back is seen when it comes.
func virtual(t *testing.T) kafka.Config {
	t.Helper()
	c := kafkatest.StartVirtual(t).Config()
	c.FetchWait = time.Second
	return c
}

func failures(h *harness, class aftercallv1.Attempt_ErrorClass) (n, other int) {
	for _, a := range h.attempts() {
		switch a.GetErrorClass() {
		case class:
			n++
		case aftercallv1.Attempt_ERROR_CLASS_UNSPECIFIED:
		default:
			other++
		}
	}
	return n, other
}

func TestANameThatCannotBeLookedUpForTenMinutesIsProbedAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, virtual(t))
		const n = 60
		back := time.Now().Add(10 * time.Minute)
		w := &wire{lookup: func(host string) ([]netip.Addr, error) {
			if time.Now().Before(back) {
				return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}}
		var got taken
		w.serve(t, nil, func(_ http.ResponseWriter, r *http.Request) { got.take(r) })
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "http://receiver.example/", Active: true})
		h.deliver("sub_1", n)
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = w.transport(t, safedial.TransportOptions{}) })
		until(t, time.Hour, "delivery of all", func() bool { return got.distinct() == n })
		running.stop(t)
		got.once(t)
		// Each of them on its own schedule would be five tries: 300 lookups.
		if failed, other := failures(h, aftercallv1.Attempt_ERROR_CLASS_DNS); failed == 0 || failed > n/2 || other > 0 {
			t.Errorf("%d tries failed for the name, %d otherwise", failed, other)
		}
	})
}

func TestACertificateThatExpiresIsNamedAndItsRenewalEndsTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, virtual(t))
		expires := time.Now().Add(30 * time.Minute)
		renewed := expires.Add(20 * time.Minute)
		pool := x509.NewCertPool()
		old, current := certificate(t, pool, expires), certificate(t, pool, expires.AddDate(1, 0, 0))
		w := &wire{}
		var got taken
		w.serve(t, func() *tls.Certificate {
			if time.Now().Before(renewed) {
				return old
			}
			return current
		}, func(_ http.ResponseWriter, r *http.Request) { got.take(r) })
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true})
		transport := w.transport(t, safedial.TransportOptions{RootCAs: pool})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = transport })
		// A call every three minutes: no connection is kept from one to the next.
		client := kafkatest.Client(t, h.kafka, h.kafka.Producer()...)
		const n = 30
		for i := range n {
			if err := client.ProduceSync(t.Context(), deliveryRecord(delivery("sub_1", i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
			if time.Now().Before(expires) && got.distinct() != i+1 {
				t.Fatalf("%d of %d arrived while the certificate was good", got.distinct(), i+1)
			}
		}
		until(t, time.Hour, "delivery of all", func() bool { return got.distinct() == n })
		running.stop(t)
		got.once(t)
		for id, at := range got.at {
			if !at[0].Before(expires) && at[0].Before(renewed) {
				t.Errorf("%s was sent over a connection whose certificate had expired", id)
			}
		}
		if failed, other := failures(h, aftercallv1.Attempt_ERROR_CLASS_TLS); failed == 0 || other > 0 {
			t.Errorf("%d tries failed for the certificate, %d otherwise", failed, other)
		}
		for _, a := range h.attempts() {
			if a.GetErrorClass() == aftercallv1.Attempt_ERROR_CLASS_TLS && !strings.Contains(a.GetError(), "not valid now") {
				t.Errorf("it is said that %s", a.GetError())
			}
		}
	})
}

// certificate makes one of its own authority, which it adds to the pool.
func certificate(t *testing.T, pool *x509.CertPool, until time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"receiver.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestIdleConnectionsThatAreDroppedSilentlyCostATryAndNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, virtual(t))
		const concurrency = 8
		w := &wire{forgets: 30 * time.Second}
		var got taken
		w.serve(t, nil, func(_ http.ResponseWriter, r *http.Request) {
			got.take(r)
			time.Sleep(100 * time.Millisecond) // so that each of them has a connection
		})
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "http://receiver.example/", Active: true, MaxConcurrency: concurrency, Timeout: 5 * time.Second})
		transport := w.transport(t, safedial.TransportOptions{})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = transport })
		h.deliver("sub_1", concurrency)
		until(t, time.Minute, "first delivery", func() bool { return got.distinct() == concurrency })
		opened := w.dials.Load()
		time.Sleep(45 * time.Second)
		again := make([]string, concurrency)
		for i := range again {
			d := delivery("sub_1", concurrency+i)
			again[i] = d.GetDeliveryId()
			kafkatest.Produce(t, h.kafka, deliveryRecord(d))
		}
		second := time.Now()
		until(t, 10*time.Minute, "delivery over dead connections", func() bool { return got.distinct() == 2*concurrency })
		running.stop(t)
		got.once(t)
		failed, other := failures(h, aftercallv1.Attempt_ERROR_CLASS_TIMEOUT)
		if failed == 0 || failed > concurrency || other > 0 {
			t.Errorf("%d tries timed out, %d failed otherwise: each dead connection may cost one", failed, other)
		}
		if w.dials.Load() == opened {
			t.Error("no new connection was made")
		}
		for _, id := range again {
			if at := got.at[id]; len(at) == 0 || at[0].Sub(second) > time.Minute {
				t.Errorf("of %s, sent at %v, the endpoint took %v", id, second, at)
			}
		}
	})
}

// flapping is well for 10 to 30 s and then not for as long. (A period of its own
// would meet or miss the breaker's, by chance.)
type flapping struct {
	mu   sync.Mutex
	rng  *rand.Rand
	next time.Time
	down bool
}

func (f *flapping) bad(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !now.Before(f.next) {
		f.down = !f.down
		f.next = f.next.Add(10*time.Second + time.Duration(f.rng.Int64N(int64(20*time.Second))))
	}
	return f.down
}

func TestAnEndpointThatFlapsForAnHourIsSparedAndThenGetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, virtual(t))
		const n = 300
		begin := time.Now()
		var got taken
		var mu sync.Mutex
		refused := 0
		flaps := flapping{rng: rand.New(rand.NewPCG(3, 2)), next: begin}
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if time.Since(begin) < time.Hour && flaps.bad(time.Now()) {
				w.WriteHeader(http.StatusBadGateway)
				mu.Lock()
				refused++
				mu.Unlock()
				return
			}
			got.take(r)
		})
		h.subscribe(subscription.Subscription{ID: "sub_1", Endpoint: "https://receiver.example/", Active: true})
		running := h.start(func(_ *sender.Config, d *sender.Deps) { d.Transport = direct{handler} })
		client := kafkatest.Client(t, h.kafka, h.kafka.Producer()...)
		for i := range n {
			if err := client.ProduceSync(t.Context(), deliveryRecord(delivery("sub_1", i))).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		until(t, 3*time.Hour, "delivery of all", func() bool { return got.distinct() == n })
		running.stop(t)
		got.once(t)
		// Without a breaker each of them would fail once on average, and some often.
		if refused == 0 || refused > n/2 {
			t.Errorf("%d requests were refused for %d deliveries", refused, n)
		}
		for _, a := range h.attempts() {
			if s := a.GetState(); s != aftercallv1.DeliveryState_DELIVERY_STATE_WAITING && s != aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED {
				t.Errorf("%s ended as %v", a.GetDeliveryId(), s)
			}
		}
		t.Logf("%d refused in %v", refused, time.Since(begin))
	})
}
