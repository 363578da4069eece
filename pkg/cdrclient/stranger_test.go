package cdrclient

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An upstream imports this module by itself: with kafka-go, and without any other
// module of Aftercall.
func TestAStrangersModuleBuildsOnThisOneAlone(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	// What this module requires, the stranger's tool would add by itself.
	_, requires, _ := strings.Cut(string(own), "\nrequire")
	for name, text := range map[string]string{
		"go.mod": "module example.com/stranger\n\ngo 1.26.0\n\nrequire github.com/aftercall/aftercall/pkg/cdrclient v0.0.0\n\n" +
			"replace github.com/aftercall/aftercall/pkg/cdrclient => " + here + "\n\nrequire" + requires,
		"go.sum": string(sums),
		"main.go": `package main

import "github.com/aftercall/aftercall/pkg/cdrclient"

func main() {
	if _, err := cdrclient.New(cdrclient.Config{Brokers: []string{"127.0.0.1:8421"}}); err != nil {
		panic(err)
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goTool := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	goTool("vet", ".")
	for path := range strings.FieldsSeq(goTool("list", "-deps", ".")) {
		if strings.HasPrefix(path, "github.com/aftercall/aftercall/") && !strings.HasPrefix(path, "github.com/aftercall/aftercall/pkg/cdrclient") {
			t.Errorf("it needs %s", path)
		}
	}
}
