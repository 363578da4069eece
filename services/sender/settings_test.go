package sender_test

import (
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/services/sender"
)

func TestNumbersThatNoSenderCanWorkWithAreRefusedWhenSettingsAreRead(t *testing.T) {
	for setting, fine := range map[string]bool{
		"AFTERCALL_MAX_IN_FLIGHT=1":             true,
		"AFTERCALL_MAX_IN_FLIGHT=100000":        true,
		"AFTERCALL_MAX_IN_FLIGHT=0":             false,
		"AFTERCALL_MAX_IN_FLIGHT=-1":            false,
		"AFTERCALL_MAX_IN_FLIGHT=100001":        false,
		"AFTERCALL_MAX_RECORD_BYTES=1024":       true,
		"AFTERCALL_MAX_RECORD_BYTES=8388608":    true,
		"AFTERCALL_MAX_RECORD_BYTES=8388609":    false,
		"AFTERCALL_MAX_RECORD_BYTES=-5":         false,
		"AFTERCALL_TOPIC_REPLICATION=0":         true,
		"AFTERCALL_TOPIC_REPLICATION=3":         true,
		"AFTERCALL_TOPIC_REPLICATION=-7":        false,
		"AFTERCALL_TOPIC_REPLICATION=100000000": false,
	} {
		name, value, _ := strings.Cut(setting, "=")
		err := config.Load(&sender.Config{}, config.WithEnviron([]string{setting}))
		if (err == nil) != fine || !fine && !strings.Contains(err.Error(), name+" is "+value+": it is from") {
			t.Errorf("%s: %v", setting, err)
		}
	}
}
