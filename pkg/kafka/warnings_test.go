package kafka

import (
	"fmt"
	"testing"
)

func TestWhatIsWrongWithSeveralTopicsIsSaidOnce(t *testing.T) {
	var findings []Finding
	for _, name := range []string{"a", "b", "c"} {
		findings = append(findings,
			Finding{Topic: name, Severity: Warn, Message: "topic " + name + " has replication factor 1; give it 3"},
			Finding{Topic: name, Severity: Warn, Message: "topic " + name + " has min.insync.replicas 1; set 2"},
			Finding{Topic: name, Severity: Refuse, Message: "topic " + name + " does not exist"})
	}
	findings = append(findings, Finding{Topic: "b", Severity: Warn, Message: "topic b keeps records for 1h"}, Finding{Severity: Warn, Message: "brokers elect unclean leaders"})
	const want = "[{has replication factor 1; give it 3 [a b c]} {has min.insync.replicas 1; set 2 [a b c]} {keeps records for 1h [b]} {brokers elect unclean leaders []}]"
	if got := fmt.Sprint(warnings(findings)); got != want {
		t.Errorf("got %s", got)
	}
}
