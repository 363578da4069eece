package deploy

import (
	"regexp"
	"strings"
	"testing"
)

var (
	metricName  = regexp.MustCompile("`(aftercall_[a-z_]+)`")
	settingName = regexp.MustCompile(`\bAFTERCALL_[A-Z_]+[A-Z]\b`)
	heading     = regexp.MustCompile(`(?m)^#{2,4} (.+)$`)
	anchor      = regexp.MustCompile(`\]\(#([a-z0-9-]+)\)`)
	fileName    = regexp.MustCompile("`((?:pkg|deployments|services|docs)/[A-Za-z0-9_./-]+)`")
)

// Who is woken at night has no time for a name that is not there any more.
func TestTheOperatorsHandbookNamesWhatExists(t *testing.T) {
	text := read(t, "docs/operations.md")
	metrics := exported(t)
	for _, m := range metricName.FindAllStringSubmatch(text, -1) {
		if !metrics[m[1]] && !metrics[m[1]+"_bucket"] {
			t.Errorf("it names the metric %s, which nothing exports", m[1])
		}
	}
	variables := map[string]bool{
		// What Kubernetes would make of a service's name.
		"AFTERCALL_ADMIN_SERVICE_HOST": true,
	}
	for _, names := range settings(t) {
		for _, name := range names {
			variables[name], variables[name+"_FILE"] = true, true
		}
	}
	// The commands have two of their own, which their help names.
	help := read(t, "docs/cli.md")
	for _, name := range []string{"AFTERCALL_API", "AFTERCALL_TOKEN"} {
		variables[name] = strings.Contains(help, name)
	}
	for _, name := range settingName.FindAllString(text, -1) {
		// AFTERCALL_KAFKA_… speaks of several.
		if !variables[name] && !strings.Contains(text, name+"_…") {
			t.Errorf("it names the variable %s, which no service reads", name)
		}
	}
	anchors := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchors[strings.ReplaceAll(strings.ToLower(strings.ReplaceAll(m[1], ",", "")), " ", "-")] = true
	}
	for _, m := range anchor.FindAllStringSubmatch(text, -1) {
		if !anchors[m[1]] {
			t.Errorf("it leads to #%s, which is no heading", m[1])
		}
	}
	for _, m := range fileName.FindAllStringSubmatch(text, -1) {
		// Secrets are made, and in no repository.
		if !exists(m[1]) && !strings.HasPrefix(m[1], "deployments/secrets/") {
			t.Errorf("it names %s, which is not there", m[1])
		}
	}
}
