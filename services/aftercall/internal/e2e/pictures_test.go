//go:build pictures

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The pictures of docs/console.md, of a one-process edition after two minutes of
// simulated calls: make pictures.
func TestPicturesOfTheConsole(t *testing.T) {
	folder, err := filepath.Abs("../../../../docs/images")
	if err != nil {
		t.Fatal(err)
	}
	console := freeAddress(t)
	p := launch(t, t.TempDir(), "aftercall", []string{"dev", "--data", filepath.Join(t.TempDir(), "data"), "--listen", console, "--kafka-listen", freeAddress(t), "--receiver-listen", "127.0.0.1:0"}, nil)
	var link string
	wait(t, "the link to the console", func() bool {
		for _, l := range p.lines() {
			if rest, ok := strings.CutPrefix(l, "Console"); ok {
				link = strings.TrimSpace(rest)
			}
		}
		return link != "" && status(t, "http://"+console+"/readyz") == http.StatusOK
	})
	b := newTab(t)
	b.do(chromedp.Navigate(link), chromedp.EmulateViewport(1280, 800))
	b.sees("Webhooks")
	at := "http://" + console
	href := func(page, selector string) string {
		var path string
		b.do(chromedp.Navigate(at+page), chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).getAttribute("href")`, selector), &path))
		return path
	}
	<-time.After(2 * time.Minute)
	webhook := strings.Join(strings.Split(href("/webhooks", `main tr:nth-child(2) a[href^="/webhooks/"]`), "/")[:3], "/")
	attempt := href("/attempts?result=failed", `main td a[href^="/attempts/"]`)
	call := href("/attempts?result=delivered", `main td a[href^="/calls"]`)
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, s := range []struct{ name, path string }{
			{"webhooks", "/webhooks"}, {"edit", webhook + "/edit"}, {"overview", webhook}, {"attempts", webhook + "/attempts"}, {"attempt", attempt},
			{"test", "/webhooks"}, {"call", call}, {"event-type", "/event-types/App.QueueWebhook"}, {"rejected", "/rejected"}, {"replays", "/replays"}, {"health", "/health"}, {"users", "/users"},
		} {
			var picture []byte
			b.do(chromedp.Navigate(at + s.path))
			if s.name == "test" {
				// It opens beside the list, and is as high as the window.
				b.press("Send Test Webhook")
				b.reads("200 OK in ")
				b.do(chromedp.CaptureScreenshot(&picture))
			} else {
				b.do(chromedp.FullScreenshot(&picture, 100))
			}
			if err := os.WriteFile(filepath.Join(folder, s.name+"-"+scheme+".png"), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.stop()
}
