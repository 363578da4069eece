package webhook

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"
)

func TestTheSignatureIsTheOneOfTheSpecification(t *testing.T) {
	// The example of Standard Webhooks 1.0.0.
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatIsSignedVerifiesUnderThePublishedLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		current, previous := NewSecret(rand.Reader), NewSecret(rand.Reader)
		raw, err := ParseSecret(current)
		if err != nil {
			t.Fatal(err)
		}
		rawPrevious, _ := ParseSecret(previous)
		id := "evt_" + rapid.StringMatching(`[a-z2-7]{1,52}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		header := http.Header{}
		for _, h := range (Message{ID: id, Time: time.Now(), Secrets: [][]byte{raw, rawPrevious}, Body: body}).Headers(nil) {
			header.Set(h.Name, h.Value)
		}
		for _, secret := range []string{current, previous} {
			theirs, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs.Verify(body, header); err != nil {
				t.Fatalf("the published library: %v", err)
			}
			ours, _ := ParseSecret(secret)
			if err := Verify(ours, header.Get(HeaderID), header.Get(HeaderTimestamp), header.Get(HeaderSignature), body, time.Now()); err != nil {
				t.Fatalf("our own: %v", err)
			}
		}
		// And the other way round.
		theirs, _ := standardwebhooks.NewWebhook(current)
		now := time.Now()
		signature, err := theirs.Sign(id, now, body)
		if err != nil || signature != Sign(raw, id, now, body) {
			t.Fatalf("theirs %s, %v; ours %s", signature, err, Sign(raw, id, now, body))
		}
	})
}

func TestARequestThatWasAlteredDoesNotVerify(t *testing.T) {
	secret := bytes.Repeat([]byte{1}, 32)
	now := time.Unix(1_800_000_000, 0)
	stamp := strconv.FormatInt(now.Unix(), 10)
	good := Sign(secret, "evt_1", now, []byte("{}"))
	for name, tc := range map[string]struct {
		id, stamp, signature, body string
		at                         time.Time
		want                       error
	}{
		"as sent":                {"evt_1", stamp, good, "{}", now, nil},
		"among others":           {"evt_1", stamp, "v2,x v1a,AAAA v1,!! v1, " + good, "{}", now, nil},
		"another body":           {"evt_1", stamp, good, "{ }", now, ErrWrongSignature},
		"another id":             {"evt_2", stamp, good, "{}", now, ErrWrongSignature},
		"another time":           {"evt_1", stamp[:9] + "1", good, "{}", now, ErrWrongSignature},
		"time written otherwise": {"evt_1", "+" + stamp, good, "{}", now, ErrWrongSignature},
		"another scheme":         {"evt_1", stamp, "v1a" + good[2:], "{}", now, ErrWrongSignature},
		"no signature":           {"evt_1", stamp, "", "{}", now, ErrUnsigned},
		"no id":                  {"", stamp, good, "{}", now, ErrUnsigned},
		"no time":                {"evt_1", "", good, "{}", now, ErrUnsigned},
		"a time of letters":      {"evt_1", "soon", good, "{}", now, ErrTimestamp},
		"at the tolerance":       {"evt_1", stamp, good, "{}", now.Add(Tolerance), nil},
		"too old":                {"evt_1", stamp, good, "{}", now.Add(Tolerance + time.Second), ErrTooOld},
		"in the future":          {"evt_1", stamp, good, "{}", now.Add(-Tolerance - time.Second), ErrTooNew},
	} {
		if err := Verify(secret, tc.id, tc.stamp, tc.signature, []byte(tc.body), tc.at); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestASecretHas24To64Bytes(t *testing.T) {
	for n := range 80 {
		raw := bytes.Repeat([]byte{byte(n)}, n)
		got, err := ParseSecret(SecretPrefix + base64.StdEncoding.EncodeToString(raw))
		if ok := n >= 24 && n <= 64; ok != (err == nil) || ok && !bytes.Equal(got, raw) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
	}
	good := NewSecret(rand.Reader)
	encoded := strings.TrimPrefix(good, SecretPrefix)
	for _, bad := range []string{"", "whsec_", encoded, "WHSEC_" + encoded, good + "=", good + "\n", good[:20] + "\n" + good[20:], good + "!", strings.TrimRight(good, "="), " " + good, "whs_" + encoded} {
		_, err := ParseSecret(bad)
		if !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v, want ErrSecret", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), encoded[:8]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func TestSecretsAreNew(t *testing.T) {
	if a, b := NewSecret(rand.Reader), NewSecret(rand.Reader); a == b {
		t.Error("the same secret twice")
	}
	defer func() {
		if recover() == nil {
			t.Error("a secret was made without randomness")
		}
	}()
	NewSecret(iotest.ErrReader(errors.New("no entropy")))
}
