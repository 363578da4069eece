package webhook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/kafka/kafkatest"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// The receivers that docs/receivers.md shows, each run with the published library
// of its language against requests that are signed here; the one in C#, which has
// none, with both kinds of signature.
//
// Real: the libraries, from the Go proxy, PyPI and npm; the receivers; HTTP; the
// base classes of .NET, in Mono.
// Doubled: the sender, by a client with the headers that it sends.
func TestTheReceiversOfTheDocumentationVerify(t *testing.T) {
	if os.Getenv("AFTERCALL_TEST_RECEIVERS") != "1" && os.Getenv("AFTERCALL_REQUIRE_REAL") != "1" {
		t.Skip("needs Python, Node, their package registries and Mono: docs/receivers/try.sh")
	}
	source, err := filepath.Abs("../../docs/receivers")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := filepath.Abs("../../.cache/receivers")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("Go", func(t *testing.T) {
		binary := filepath.Join(t.TempDir(), "verify")
		install(t, source, "go", "build", "-o", binary, "verify.go")
		tryReceiver(t, source, binary)
	})
	t.Run("Python", func(t *testing.T) {
		venv := filepath.Join(cache, "venv")
		python := filepath.Join(venv, "bin", "python")
		// One that was left half made is made again.
		ready := filepath.Join(venv, ".ready")
		if _, err := os.Stat(ready); err != nil {
			install(t, source, "python3", "-m", "venv", "--clear", venv)
			install(t, source, "touch", ready)
		}
		install(t, source, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "10", "-r", "requirements.txt")
		tryReceiver(t, source, python, "verify.py")
	})
	t.Run("Node", func(t *testing.T) {
		// Beside its copy: Node looks for packages from the script upwards.
		dir := filepath.Join(cache, "node")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"verify.mjs", "package.json", "package-lock.json"} {
			data, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		install(t, dir, "npm", "ci", "--silent", "--no-audit", "--no-fund", "--fetch-retries", "5")
		tryReceiver(t, dir, "node", "verify.mjs")
	})
	t.Run("C#", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "verify.exe")
		install(t, source, "mcs", "-out:"+program, "verify.cs")
		tryReceiver(t, source, "mono", program)
		tryAbpReceiver(t, source, "mono", program)
	})
}

func install(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The receivers are a module of their own, as a user's are.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// startReceiver runs one until the end of the test, and answers its address.
func startReceiver(t *testing.T, dir, secret, name string, args ...string) string {
	t.Helper()
	addr := kafkatest.Address(t)
	var output bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), secret, "LISTEN="+addr)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", name, output.String())
		}
	})
	waitUntilListening(t, addr, ended)
	return addr
}

// tell sends a message to a receiver and expects an answer.
func tell(t *testing.T, addr, what string, m webhook.Message, sent []byte, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/webhook", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range m.Headers(nil) {
		req.Header.Set(h.Name, h.Value)
	}
	req.Close = true // some of them hang up on what is idle for seconds
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s: %d, want %d", what, resp.StatusCode, want)
	}
}

// tryAbpReceiver sends what a receiver of ASP.NET Zero's webhooks gets: .NET's
// own BitConverter and HMAC verify it, as they do there.
func tryAbpReceiver(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	const secret = "whs_0123456789abcdef0123456789abcdef"
	addr := startReceiver(t, dir, "ABP_SECRET="+secret, name, args...)
	body := []byte(`{"Id":"evt_ok","WebhookEvent":"App.QueueWebhook","Attempt":1,"Data":{"CallerName":"Zoë 日本 😀"}}`)
	for _, tc := range []struct {
		what, secret string
		sent         []byte
		want         int
	}{
		{"as Aftercall sends it", secret, body, http.StatusNoContent},
		{"signed with another secret", secret + "0", body, http.StatusUnauthorized},
		{"not signed", "", body, http.StatusUnauthorized},
		{"altered", secret, append(bytes.Clone(body), ' '), http.StatusUnauthorized},
	} {
		tell(t, addr, "abp: "+tc.what, webhook.Message{ID: "evt_ok", EventType: "App.QueueWebhook", DeliveryID: "dlv_ok", Attempt: 1, Cause: "call_ended",
			Version: "test", ContentType: "application/json", Time: time.Now(), AbpSecret: tc.secret, Body: body}, tc.sent, tc.want)
	}
}

// tryReceiver runs one and sends it what a receiver gets, and what it must refuse.
func tryReceiver(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	secret, old := webhook.NewSecret(rand.Reader), webhook.NewSecret(rand.Reader)
	addr := startReceiver(t, dir, "WEBHOOK_SECRET="+secret, name, args...)
	raw, err := webhook.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	rawOld, err := webhook.ParseSecret(old)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(` {"CallId":"c-1","CallerName":"Zoë \u0000 <script> 日本 😀","WaitTime":1e400,"TrasnferToId":null}` + "\n")
	now := time.Now()
	for _, tc := range []struct {
		what    string
		secrets [][]byte
		at      time.Time
		sent    []byte
		want    int
	}{
		{"as Aftercall sends it", [][]byte{raw}, now, body, http.StatusNoContent},
		{"the same once more", [][]byte{raw}, now, body, http.StatusNoContent},
		{"during a rotation, the new secret first", [][]byte{rawOld, raw}, now, body, http.StatusNoContent},
		{"during a rotation, the old secret first", [][]byte{raw, rawOld}, now, body, http.StatusNoContent},
		{"signed with another secret", [][]byte{rawOld}, now, body, http.StatusUnauthorized},
		{"not signed", nil, now, body, http.StatusUnauthorized},
		{"altered", [][]byte{raw}, now, bytes.Replace(body, []byte("c-1"), []byte("c-2"), 1), http.StatusUnauthorized},
		{"ten minutes old", [][]byte{raw}, now.Add(-10 * time.Minute), body, http.StatusUnauthorized},
		{"ten minutes ahead", [][]byte{raw}, now.Add(10 * time.Minute), body, http.StatusUnauthorized},
	} {
		tell(t, addr, tc.what, webhook.Message{ID: "evt_ok", EventType: "App.QueueWebhook", DeliveryID: "dlv_ok", Attempt: 1, Cause: "call_ended", Version: "test",
			ContentType: "application/json", Time: tc.at, Secrets: tc.secrets, Body: body}, tc.sent, tc.want)
	}
}

func waitUntilListening(t *testing.T, addr string, ended chan error) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the receiver ended: %v", errors.Join(err))
		case <-deadline.C:
			t.Fatalf("the receiver does not listen: %v", err)
		case <-tick.C:
		}
	}
}

// The request that the document shows verifies under the secret beside it.
func TestTheRequestOfTheDocumentVerifies(t *testing.T) {
	document, err := os.ReadFile("../../docs/receivers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, request, _ := strings.Cut(string(document), "POST /webhook HTTP/1.1\n")
	request, after, _ := strings.Cut(request, "\n```")
	head, body, _ := strings.Cut(request, "\n\n")
	header := map[string]string{}
	for line := range strings.SplitSeq(head, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		header[name] = value
	}
	_, text, _ := strings.Cut(after, "`")
	text, _, _ = strings.Cut(text, "`")
	secret, err := webhook.ParseSecret(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	seconds, err := strconv.ParseInt(header["webhook-timestamp"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := webhook.Verify(secret, header["webhook-id"], header["webhook-timestamp"], header["webhook-signature"], []byte(body), time.Unix(seconds, 0)); err != nil {
		t.Errorf("%v: %q", err, body)
	}
}

// What the document shows is what was tried.
func TestTheDocumentShowsTheReceiversAsTheyAre(t *testing.T) {
	document, err := os.ReadFile("../../docs/receivers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"verify.go", "verify.py", "verify.mjs", "verify.cs"} {
		source, err := os.ReadFile("../../docs/receivers/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(document), "\n"+string(source)+"```\n") {
			t.Errorf("docs/receivers.md does not show %s as it is", name)
		}
	}
	for _, f := range webhook.Formats() {
		if !strings.Contains(string(document), "| `"+f+"` |") {
			t.Errorf("docs/receivers.md does not have the format %s", f)
		}
	}
	for _, s := range webhook.Schedules() {
		if !strings.Contains(string(document), "| `"+s.Name+"` |") {
			t.Errorf("docs/receivers.md does not have the schedule %s", s.Name)
		}
	}
}
