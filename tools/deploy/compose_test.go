package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func compose(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithProfiles([]string{"demo", "obs"}), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeLoadsAndItsServicesReadWhatTheyAreGiven(t *testing.T) {
	p, all := compose(t), settings(t)
	for _, name := range []string{"kafka", "postgres", "router", "sender", "projector", "admin", "receiver", "simulator", "prometheus", "grafana"} {
		if _, there := p.Services[name]; !there {
			t.Errorf("no service %s", name)
		}
	}
	for name, s := range p.Services {
		for variable, value := range s.Environment {
			known(t, all, name, variable)
			if secret, is := strings.CutPrefix(deref(value), "/run/secrets/"); is && !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return c.Source == secret }) {
				t.Errorf("%s reads the secret %s and is not given it", name, secret)
			}
		}
		supplied(t, name, func(variable string) bool { return s.Environment[variable] != nil })
		_, ours := all[name]
		if ours && (s.HealthCheck == nil || !slices.Equal([]string(s.HealthCheck.Test), []string{"CMD", "/service", "health"}) || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"})) {
			t.Errorf("%s asks no /readyz, or may more than it must", name)
		}
		if s.Build != nil {
			if arg := deref(s.Build.Args["SERVICE"]); ours && arg != name {
				t.Errorf("%s is built as %q", name, arg)
			}
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Error(err)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s to more than this machine", name, port.Published)
			}
		}
	}
	if n := p.Services["sender"].Deploy.Replicas; n == nil || *n != 2 {
		t.Errorf("%v senders", n)
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// The image is built by make build, of every module's files.
func TestTheDockerfileBuildsAsTheMakefileDoes(t *testing.T) {
	dockerfile := read(t, "deployments/Dockerfile")
	for _, want := range []string{`make build SERVICES="${SERVICE}" VERSION="${VERSION}"`, "distroless/static", "USER 65532:65532"} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("no %s", want)
		}
	}
	for line := range strings.Lines(read(t, "go.work")) {
		if module, is := strings.CutPrefix(strings.TrimSpace(line), "./"); is && !strings.Contains(dockerfile, "COPY "+module+"/go.mod ") {
			t.Errorf("the module %s is not copied before go mod download", module)
		}
	}
	makefile := read(t, "Makefile")
	if !strings.Contains(makefile, "for s in $(SERVICES)") || !strings.Contains(makefile, "VERSION  ?=") {
		t.Error("make build takes no SERVICES or VERSION any more")
	}
}
