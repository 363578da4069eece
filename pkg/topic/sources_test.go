package topic_test

import (
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/topic"
)

func TestFurtherSourcesAreNoTopicsOfOursAndHaveATypeThatExists(t *testing.T) {
	if err := topic.CheckSources(nil); err != nil {
		t.Error(err)
	}
	if err := topic.CheckSources(map[string]string{"contoso.queue.v2": topic.TypeQueue, topic.CDRIvr: topic.TypeIvr}); err != nil {
		t.Error(err)
	}
	for _, s := range topic.All() {
		err := topic.CheckSources(map[string]string{s.Name: topic.TypeAgent})
		if refused := err != nil && strings.Contains(err.Error(), s.Name); refused == (s.Name == topic.CDRAgent) {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	err := topic.CheckSources(map[string]string{"x": "App.Nope", "y": "", "": topic.TypeQueue})
	for _, want := range []string{`"App.Nope", of topic x`, `"", of topic y`, "names no topic", topic.TypeRecording} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s in %v", want, err)
		}
	}
}
