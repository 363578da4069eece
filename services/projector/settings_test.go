package projector_test

import (
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/services/projector"
)

func TestPeriodsThatNoDeploymentCanMeanAreRefusedWhenSettingsAreRead(t *testing.T) {
	for setting, fine := range map[string]bool{
		"AFTERCALL_KEEP_HISTORY=0": true, "AFTERCALL_KEEP_AUDIT=0": true, "AFTERCALL_KEEP_PAYLOADS=24h": true,
		"AFTERCALL_KEEP_HISTORY=1h": false, "AFTERCALL_KEEP_AUDIT=-1h": false, "AFTERCALL_KEEP_PAYLOADS=9000h": false,
	} {
		err := config.Load(&projector.Config{}, config.WithEnviron([]string{setting}))
		if (err == nil) != fine || !fine && !strings.Contains(err.Error(), "AFTERCALL_KEEP_PAYLOADS") {
			t.Errorf("%s: %v", setting, err)
		}
	}
}
