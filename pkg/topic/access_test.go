package topic_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/topic"
)

func TestEveryTopicIsWrittenAndReadBySomebody(t *testing.T) {
	for _, s := range topic.All() {
		var readers, writers []string
		for _, a := range topic.Accesses() {
			if slices.Contains(a.Reads, s.Name) {
				readers = append(readers, a.Service)
			}
			if slices.Contains(a.Writes, s.Name) {
				writers = append(writers, a.Service)
			}
		}
		// What upstream writes, and what waits for people.
		if len(writers) == 0 && !s.Upstream || len(readers) == 0 && s.Name != topic.GivenUp {
			t.Errorf("%s: written by %v, read by %v", s.Name, writers, readers)
		}
	}
}

func TestAccessesNameTopicsThatExistOnceEach(t *testing.T) {
	known := map[string]bool{}
	for _, s := range topic.All() {
		known[s.Name] = true
	}
	for _, a := range topic.Accesses() {
		for _, names := range [][]string{a.Reads, a.Writes} {
			for i, name := range names {
				if !known[name] || slices.Contains(names[:i], name) {
					t.Errorf("%s: %s is no topic, or stands twice", a.Service, name)
				}
			}
		}
	}
}

// names are the topics as code calls them.
var names = map[string][]string{
	"CDRQueue": {topic.CDRQueue}, "CDRIvr": {topic.CDRIvr}, "CDRAgent": {topic.CDRAgent}, "CDRRecording": {topic.CDRRecording},
	"CDRTest": {topic.CDRTest}, "CDRSystem": {topic.CDRSystem}, "Events": {topic.Events}, "Rejected": {topic.Rejected},
	"Deliveries": {topic.Deliveries}, "GivenUp": {topic.GivenUp}, "History": {topic.History}, "Subscriptions": {topic.Subscriptions},
	"Tiers": topic.DelayTopics(), "TierFor": topic.DelayTopics(), "DelayTopics": topic.DelayTopics(),
	"GroupRouter": {topic.GroupRouter}, "GroupSender": {topic.GroupSender}, "GroupMover": {topic.GroupMover}, "GroupProjector": {topic.GroupProjector},
}

// What a service's code names it has to be allowed. That it suffices is shown on a
// broker with an authorizer (services/aftercall/internal/e2e, tag proof).
func TestEachServiceIsAllowedWhatItsCodeNames(t *testing.T) {
	named := regexp.MustCompile(`\btopic\.(\w+)`)
	// Admin asks how far transactions have come: to describe a topic is allowed to all.
	described := map[string][]string{"admin": {topic.Events, topic.Rejected}}
	for _, a := range topic.Accesses() {
		allowed := slices.Concat(a.Reads, a.Writes, a.Joins, a.Watches, described[a.Service])
		found := 0
		err := filepath.WalkDir(filepath.Join("..", "..", "services", a.Service), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range named.FindAllSubmatch(text, -1) {
				for _, name := range names[string(m[1])] {
					found++
					if !slices.Contains(allowed, name) {
						t.Errorf("%s names %s, which %s is not allowed", path, name, a.Service)
					}
				}
			}
			return err
		})
		if err != nil || found == 0 {
			t.Errorf("%s: %d found, %v", a.Service, found, err)
		}
	}
}
