package services

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

func execute(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	root := &cobra.Command{Use: "aftercall", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(cmd)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{cmd.Name()}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestEveryServiceIsACommandThatRefusesWrongSettings(t *testing.T) {
	t.Setenv("AFTERCALL_LOG_LEVL", "debug") // misspelt
	cmds := Commands()
	if len(cmds) != 4 {
		t.Fatalf("%d commands", len(cmds))
	}
	for _, cmd := range cmds {
		_, err := execute(t, cmd)
		var coded *client.ExitError
		if !errors.As(err, &coded) || coded.Code != 2 {
			t.Errorf("%s ends with %v", cmd.Name(), err)
		}
	}
}

func TestASettingIsPrintedOnceMaskedWithItsOrigin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AFTERCALL_BROKERS", "kafka-1:9092")
	t.Setenv("AFTERCALL_KAFKA_SASL_MECHANISM", "PLAIN")
	t.Setenv("AFTERCALL_KAFKA_SASL_USERNAME", "me")
	t.Setenv("AFTERCALL_KAFKA_SASL_PASSWORD_FILE", path)
	t.Setenv("AFTERCALL_DATABASE_URL", "postgres://me:canary@db/aftercall")
	read := func(args ...string) map[string]setting {
		out, err := execute(t, ConfigCommand(), append([]string{"print"}, args...)...)
		if err != nil || strings.Contains(out, "canary") {
			t.Fatalf("%v %s", err, out)
		}
		found := map[string]setting{}
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			var s setting
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			found[s.Name] = s
		}
		return found
	}
	every := read()
	if s := every["AFTERCALL_BROKERS"]; s.From != "environment" || s.Value != "kafka-1:9092" || !slices.Equal(s.Services, []string{"router", "sender", "projector", "admin"}) {
		t.Errorf("%+v", s)
	}
	if s := every["AFTERCALL_KAFKA_SASL_PASSWORD"]; s.From != "file" || s.File != path || s.Value != "(set)" {
		t.Errorf("%+v", s)
	}
	if s := every["AFTERCALL_LOG_LEVEL"]; s.From != "default" || s.Value != "info" {
		t.Errorf("%+v", s)
	}
	if s := every["AFTERCALL_KEYSET"]; s.From != "not set" || s.Value != "" {
		t.Errorf("%+v", s)
	}
	if one := read("router"); one["AFTERCALL_DATABASE_URL"].Name != "" || one["AFTERCALL_BROKERS"].Name == "" {
		t.Errorf("the router's are %v", one)
	}
	t.Setenv("AFTERCALL_MAX_IN_FLIGHT", "many")
	if out, err := execute(t, ConfigCommand(), "print", "sender"); err == nil || !strings.Contains(err.Error(), "AFTERCALL_MAX_IN_FLIGHT") || !strings.Contains(out, "AFTERCALL_BROKERS") {
		t.Errorf("%v %s", err, out)
	}
}

func TestTheVariablesAreDocumented(t *testing.T) {
	out, err := execute(t, ConfigCommand(), "docs")
	if err != nil || !strings.Contains(out, "| `AFTERCALL_BROKERS` | router, sender, projector, admin |") {
		t.Errorf("%v %s", err, out)
	}
}
