package router_test

import (
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/services/router"
)

func TestSourcesThatAreNoneAreRefusedWhenSettingsAreRead(t *testing.T) {
	for sources, want := range map[string]string{
		"contoso.queue.v2=App.QueueWebhook":   "",
		"aftercall.rejected=App.QueueWebhook": "AFTERCALL_SOURCES: aftercall.rejected is a topic of Aftercall's own",
		"x=App.Nope":                          `"App.Nope", of topic x, is not an event type`,
	} {
		err := config.Load(&router.Config{}, config.WithEnviron([]string{"AFTERCALL_SOURCES=" + sources}))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", sources, err)
		}
	}
}
