package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/config"
)

type kafkaConfig struct {
	Brokers []string `env:"BROKERS,required"`
	Dialer  func()   `env:"-"`
}

type sample struct {
	Kafka     kafkaConfig
	Database  string            `env:"DATABASE_URL"`
	MaxBytes  int               `env:"MAX_RECORD_BYTES" envDefault:"1048576"`
	AllowHTTP bool              `env:"ALLOW_HTTP"`
	Keyset    string            `env:"KEYSET"`
	Sources   map[string]string `env:"SOURCES" envKeyValSeparator:"="`
}

func load(t *testing.T, environ ...string) (sample, error) {
	t.Helper()
	var cfg sample
	err := config.Load(&cfg, config.WithEnviron(environ))
	return cfg, err
}

func TestLoadReadsNestedValuesAndDefaults(t *testing.T) {
	cfg, err := load(t, "AFTERCALL_BROKERS=a:1,b:2", "AFTERCALL_ALLOW_HTTP=true", "HOME=/root",
		"AFTERCALL_SOURCES=contoso.queue.v2=App.QueueWebhook,x=App.IvrWebhook")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cfg.Kafka.Brokers, []string{"a:1", "b:2"}) || cfg.MaxBytes != 1<<20 || !cfg.AllowHTTP ||
		cfg.Sources["contoso.queue.v2"] != "App.QueueWebhook" {
		t.Fatalf("%+v", cfg)
	}
}

func TestAnUnknownNameIsAnErrorWithASuggestion(t *testing.T) {
	for name, suggestion := range map[string]string{
		"AFTERCALL_BROKER":                 "did you mean AFTERCALL_BROKERS?",
		"AFTERCALL_DATABSE_URL":            "did you mean AFTERCALL_DATABASE_URL?",
		"AFTERCALL_KEYST_FILE":             "did you mean AFTERCALL_KEYSET_FILE?",
		"AFTERCALL_SOMETHING_QUITE_UNLIKE": "docs/configuration.md",
		"AFTERCALL_REQUIRE_REALITY":        "docs/configuration.md",
	} {
		_, err := load(t, "AFTERCALL_BROKERS=a:1", name+"=x")
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), suggestion) {
			t.Errorf("%s: want %q in %v", name, suggestion, err)
		}
	}
}

func TestNamesOfTestsAndOfKubernetesAreLeftAlone(t *testing.T) {
	_, err := load(t, "AFTERCALL_BROKERS=a:1",
		"AFTERCALL_TEST_KAFKA=x", "AFTERCALL_REQUIRE_REAL=1", "AFTERCALL_API=http://127.0.0.1:8420", "AFTERCALL_TOKEN=act_x",
		"AFTERCALL_ADMIN_SERVICE_HOST=10.0.0.1", "AFTERCALL_ADMIN_SERVICE_PORT=8420", "AFTERCALL_ADMIN_SERVICE_PORT_HTTP=8420",
		"AFTERCALL_ADMIN_PORT=tcp://10.0.0.1:8420", "AFTERCALL_ADMIN_PORT_8420_TCP=tcp://10.0.0.1:8420", "AFTERCALL_ADMIN_PORT_8420_TCP_ADDR=10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
}

func TestAVariableOfAnotherServiceIsFine(t *testing.T) {
	if _, err := load(t, "AFTERCALL_BROKERS=a:1", "AFTERCALL_LISTEN=:8420"); err != nil {
		t.Fatal(err)
	}
}

func TestAFileHoldsTheValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset")
	if err := os.WriteFile(path, []byte("{\"key\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := load(t, "AFTERCALL_BROKERS=a:1", "AFTERCALL_KEYSET_FILE="+path)
	if err != nil || cfg.Keyset != `{"key":1}` {
		t.Fatalf("%q, %v", cfg.Keyset, err)
	}
	if _, err := load(t, "AFTERCALL_BROKERS=a:1", "AFTERCALL_KEYSET_FILE="+path, "AFTERCALL_KEYSET=x"); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Fatalf("want an error about both, got %v", err)
	}
	if _, err := load(t, "AFTERCALL_BROKERS=a:1", "AFTERCALL_KEYSET_FILE="+path+".gone"); err == nil || !strings.Contains(err.Error(), "AFTERCALL_KEYSET_FILE") {
		t.Fatalf("want an error naming the variable, got %v", err)
	}
}

func TestErrorsNameTheVariableAndComeTogether(t *testing.T) {
	_, err := load(t, "AFTERCALL_MAX_RECORD_BYTES=big", "AFTERCALL_ALLOW_HTTP=perhaps", "AFTERCALL_NOPE_NOPE=1")
	for _, want := range []string{
		"AFTERCALL_MAX_RECORD_BYTES: want a whole number", "AFTERCALL_ALLOW_HTTP: want true or false",
		"AFTERCALL_NOPE_NOPE", "AFTERCALL_BROKERS",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

// ranged is a struct that says which values it can work with.
type ranged struct {
	MaxBytes int `env:"MAX_RECORD_BYTES" envDefault:"1048576"`
}

func (r ranged) Check() error { return config.Between("MAX_RECORD_BYTES", r.MaxBytes, 1, 1<<20) }

func TestAStructIsAskedWhetherItsValuesCanBeMeant(t *testing.T) {
	type whole struct {
		Part      ranged
		AllowHTTP bool `env:"ALLOW_HTTP"`
	}
	for value, fine := range map[string]bool{"1": true, "1048576": true, "": true, "0": false, "-5": false, "1048577": false} {
		err := config.Load(&whole{}, config.WithEnviron([]string{"AFTERCALL_MAX_RECORD_BYTES=" + value}))
		if (err == nil) != fine || !fine && !strings.Contains(err.Error(), "AFTERCALL_MAX_RECORD_BYTES is "+value+": it is from 1 to 1048576") {
			t.Errorf("%s: %v", value, err)
		}
	}
	// What could not be read is not judged.
	err := config.Load(&whole{}, config.WithEnviron([]string{"AFTERCALL_MAX_RECORD_BYTES=-5", "AFTERCALL_ALLOW_HTTP=perhaps"}))
	if err == nil || strings.Contains(err.Error(), "it is from") {
		t.Errorf("%v", err)
	}
}

func TestSecretsAreNotEchoed(t *testing.T) {
	var cfg struct {
		Keyset int `env:"KEYSET"`
	}
	err := config.Load(&cfg, config.WithEnviron([]string{"AFTERCALL_KEYSET=hunter2"}))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("want an error without the value, got %v", err)
	}

	var b strings.Builder
	s := sample{Keyset: "hunter2", Database: "postgres://u:hunter2@db/x?password=hunter2", MaxBytes: 5}
	s.Kafka.Brokers = []string{"a:1", "b:2"}
	if err := config.Print(&b, &s); err != nil {
		t.Fatal(err)
	}
	want := `AFTERCALL_BROKERS=a:1,b:2
AFTERCALL_DATABASE_URL=postgres://u:xxxxx@db/x?…
AFTERCALL_MAX_RECORD_BYTES=5
AFTERCALL_ALLOW_HTTP=false
AFTERCALL_KEYSET=(set)
AFTERCALL_SOURCES=
`
	if b.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := config.Print(&b, sample{Database: "host=db password=hunter2"}); err != nil || strings.Contains(b.String(), "hunter2") {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

func TestAFieldWithoutADescriptionIsRefused(t *testing.T) {
	var cfg struct {
		X string `env:"NOBODY_DESCRIBED_ME"`
	}
	err := config.Load(&cfg, config.WithEnviron(nil))
	if err == nil || !strings.Contains(err.Error(), "variables.go") {
		t.Fatalf("got %v", err)
	}
}

func TestDocsRefuseASettingThatNobodyReads(t *testing.T) {
	var b strings.Builder
	if err := config.Docs(&b, config.Service{Name: "router", Config: sample{}}); err == nil {
		t.Fatal("the sample does not read every variable, and Docs must say so")
	}
}

func TestVariablesAreDescribedOnceEach(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range config.Variables() {
		if seen[v.Name] || !strings.HasPrefix(v.Name, config.Prefix) || v.Text == "" {
			t.Errorf("%+v", v)
		}
		seen[v.Name] = true
	}
	// X_FILE gives X in a file: a variable of that name would be two.
	for name := range seen {
		if base, isFile := strings.CutSuffix(name, "_FILE"); isFile && seen[base] {
			t.Errorf("%s is a setting of its own and the file of %s", name, base)
		}
	}
}

func TestASettingSaysWhereItCameFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset")
	if err := os.WriteFile(path, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := config.Effectives(&sample{}, config.WithEnviron([]string{"AFTERCALL_DATABASE_URL=postgres://me:canary@db/x", "AFTERCALL_KEYSET_FILE=" + path}))
	if err == nil || !strings.Contains(err.Error(), "BROKERS") {
		t.Errorf("what is missing is no error: %v", err)
	}
	want := []config.Effective{
		{Name: "AFTERCALL_BROKERS", Value: "(required)", From: config.FromNowhere},
		{Name: "AFTERCALL_DATABASE_URL", Value: "postgres://me:xxxxx@db/x", From: config.FromEnvironment},
		{Name: "AFTERCALL_MAX_RECORD_BYTES", Value: "1048576", From: config.FromDefault},
		{Name: "AFTERCALL_ALLOW_HTTP", Value: "false", From: config.FromNowhere},
		{Name: "AFTERCALL_KEYSET", Value: "(set)", From: config.FromFile, File: path},
		{Name: "AFTERCALL_SOURCES", From: config.FromNowhere},
	}
	if !slices.Equal(all, want) {
		t.Errorf("%+v", all)
	}
}

func TestAnEmptyAddressOfMetricsIsNone(t *testing.T) {
	type service struct {
		OpsListen string `env:"OPS_LISTEN" envDefault:"127.0.0.1:9100"`
	}
	file := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"HOME=/root": "127.0.0.1:9100", "AFTERCALL_OPS_LISTEN=": "none", "AFTERCALL_OPS_LISTEN=none": "none",
		"AFTERCALL_OPS_LISTEN=:1": ":1", "AFTERCALL_OPS_LISTEN_FILE=" + file: "none",
	} {
		var cfg service
		all, err := config.Effectives(&cfg, config.WithEnviron([]string{setting}))
		if err != nil || cfg.OpsListen != want || (all[0].From == config.FromDefault) != (setting == "HOME=/root") {
			t.Errorf("%s: %+v %+v %v", setting, cfg, all, err)
		}
	}
}
