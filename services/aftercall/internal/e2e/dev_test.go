package e2e

import (
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/topic"
)

func TestDevShowsADeliveredARetriedAndAGivenUpCallInItsFirstSeconds(t *testing.T) {
	folder := t.TempDir()
	p := launch(t, folder, "aftercall", []string{"dev", "--data", filepath.Join(folder, "data"),
		"--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--receiver-listen", "127.0.0.1:0"}, nil)
	line := func(pattern string) string {
		re := regexp.MustCompile(pattern)
		var found string
		wait(t, "a line "+pattern, func() bool {
			for _, l := range p.lines() {
				if re.MatchString(l) {
					found = l
					return true
				}
			}
			if p.ended() {
				t.Fatalf("dev ended before it printed %s", pattern)
			}
			return false
		})
		return found
	}
	line(`^Aftercall dev: `)
	began := time.Now()
	console := line(`^Console +http://127\.0\.0\.1:\d+/login\?t=.+`)
	line(`^Broker +127\.0\.0\.1:\d+`)
	line(`^Receiver +http://127\.0\.0\.1:\d+`)
	line(`^Data +.+admin\.token`)
	line(`^\d\d:\d\d:\d\d App\.\w+Webhook +→ /ok +200 in `)
	line(`→ /flaky +503, retry in 5 s \(attempt 2 of 13\)`)
	line(`→ /flaky +200, delivered on attempt 2`)
	line(`→ /broken +500, given up`)
	if took := time.Since(began); timed && took > 10*time.Second {
		t.Errorf("it took %s from its first line to show all three", took)
	} else {
		t.Logf("all three shown %s after its first line", took.Round(time.Millisecond))
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	answer, err := browser.Get(strings.TrimSpace(strings.TrimPrefix(console, "Console")))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the login link answers %d", answer.StatusCode)
	}
	p.stop()
}

func TestDevWithoutRoomOnItsDiskRefusesCDRsAndSaysSo(t *testing.T) {
	folder := t.TempDir()
	console, broker := freeAddress(t), freeAddress(t)
	p := launch(t, folder, "aftercall", []string{"dev", "--data", filepath.Join(folder, "data"), "--calls", "0", "--keep-free", "900TiB",
		"--listen", console, "--kafka-listen", broker, "--receiver-listen", "127.0.0.1:0"}, nil)
	wait(t, "a line that says why", func() bool {
		if p.ended() {
			t.Fatal("dev ended")
		}
		return slices.ContainsFunc(p.lines(), func(l string) bool {
			return strings.Contains(l, "new CDRs are refused") && strings.Contains(l, "--keep-free")
		})
	})
	wait(t, "/readyz to say that it is not", func() bool { return status(t, "http://"+console+"/readyz") == http.StatusServiceUnavailable })
	c := kafka.Config{Brokers: []string{broker}}
	client := kafkatest.Client(t, c, append(c.Producer(), kgo.RecordDeliveryTimeout(time.Second))...)
	if err := client.ProduceSync(t.Context(), kafkatest.CDR(topic.CDRQueue, "", `{"CallId":"1"}`)).FirstErr(); err == nil {
		t.Error("a CDR was taken")
	}
	p.stop()
}
