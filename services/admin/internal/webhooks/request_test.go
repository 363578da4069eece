package webhooks

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
)

func TestASampleRequestShowsTheFormatAndMasksSecrets(t *testing.T) {
	headers := []webhook.Header{{Name: "x-team", Value: "it's ours"}, {Name: "authorization", Value: "Bearer s3cret", Secret: true}, {}}
	for format, want := range map[string][]string{
		"":                             {`"QueueName"`, "content-type: application/json"},
		subscription.FormatStandard:    {`"type":"` + topic.TypeQueue + `"`, `"data":`, `"timestamp":"2026-03-14T09:26:53.589Z"`},
		subscription.FormatCloudEvents: {`"specversion":"1.0"`, "content-type: application/cloudevents+json"},
		subscription.FormatAbp:         {"abp-webhook-signature: sha256=…", `"Attempt":1`},
	} {
		r := SampleRequest("https://hooks.example.com/in?team=1", format, []string{topic.TypeQueue}, headers)
		text := r.HTTP()
		for _, w := range append(want, "POST /in?team=1 HTTP/1.1\nhost: hooks.example.com\n", "x-team: it's ours", "webhook-signature: v1,…", "aftercall-event-type: "+topic.TypeQueue) {
			if !strings.Contains(text, w) {
				t.Errorf("format %q lacks %q:\n%s", format, w, text)
			}
		}
		if strings.Contains(text+r.Curl(), "s3cret") {
			t.Errorf("format %q shows a secret", format)
		}
	}
}

func TestTheCurlCommandIsOneCommandWithEveryHeaderAndTheWholeBody(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	r := SampleRequest("https://hooks.example.com/a'b?c=$(d)", "", []string{topic.TypeQueue}, []webhook.Header{{Name: "x-a", Value: "`echo` 'b' $HOME"}})
	command := strings.Replace(r.Curl(), "curl ", `printf '%s\0' `, 1)
	out, err := exec.CommandContext(t.Context(), shell, "-c", command).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	want := []string{"-i", "-X", "POST", "https://hooks.example.com/a'b?c=$(d)"}
	for _, h := range r.Headers {
		want = append(want, "-H", h.Name+": "+h.Value)
	}
	want = append(want, "--data-binary", string(r.Body))
	if strings.Join(args, "\n") != strings.Join(want, "\n") {
		t.Errorf("the shell understood\n%q\nwant\n%q", args, want)
	}
}

func TestASampleRequestHasTheURLThatIsSent(t *testing.T) {
	r := SampleRequest("https://hooks.example.com/é?q=ü", "", []string{topic.TypeQueue}, nil)
	if text := r.HTTP(); !strings.HasPrefix(text, "POST /%C3%A9?q=%C3%BC HTTP/1.1\n") {
		t.Error(text)
	}
	if text := r.Curl(); !strings.Contains(text, "'https://hooks.example.com/%C3%A9?q=%C3%BC'") {
		t.Error(text)
	}
}
