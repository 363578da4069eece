package topic_test

import (
	"slices"
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
