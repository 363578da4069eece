package telemetry_test

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/telemetry"
)

func TestARegistryBeginsWithRuntimeAndBuild(t *testing.T) {
	families, err := telemetry.NewRegistry("router").Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range families {
		found[f.GetName()] = true
	}
	for _, name := range []string{"aftercall_build_info", "go_goroutines"} {
		if !found[name] {
			t.Errorf("%s is missing", name)
		}
	}
}
