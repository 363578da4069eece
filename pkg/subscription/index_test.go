package subscription

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aftercall/aftercall/pkg/topic"
)

func ids(matches []Match) string {
	var out []string
	for _, m := range matches {
		id := m.Subscription.ID
		if m.Inactive {
			id += "(inactive)"
		}
		out = append(out, id)
	}
	return strings.Join(out, " ")
}

func sub(id, scope string, events ...string) *Subscription {
	return &Subscription{ID: id, Version: 1, Active: true, OUScope: scope, Events: events}
}

func TestAScopeGetsWhatLiesAtOrBelowItUnitByUnit(t *testing.T) {
	x := NewIndex()
	for _, s := range []*Subscription{
		sub("everything", "", topic.TypeQueue),
		sub("root", "Root", topic.TypeQueue),
		sub("sales", "Root/Sales", topic.TypeQueue),
		sub("slashes", "/Root/Sales/", topic.TypeQueue),
		sub("emea", "Root/Sales/EMEA", topic.TypeQueue),
		sub("salesforce", "Root/Salesforce", topic.TypeQueue),
		sub("other-type", "Root/Sales", topic.TypeIvr),
	} {
		x.Put(s)
	}
	for path, want := range map[string]string{
		"":                   "everything",
		"/":                  "everything",
		"Root":               "everything root",
		"Root/Sales":         "everything root sales slashes",
		"/Root/Sales/":       "everything root sales slashes",
		"Root/Sales/EMEA/DE": "emea everything root sales slashes",
		"Root/Salesforce":    "everything root salesforce",
		"root/sales":         "everything",
		"Root/Sal":           "everything root",
		"Other/Root/Sales":   "everything",
		"Root//Sales":        "everything root",
	} {
		if got := ids(x.Match(topic.TypeQueue, path)); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
	if got := ids(x.Match(topic.TypeRecording, "Root")); got != "" {
		t.Errorf("another type matches %q", got)
	}
}

func TestATestEventIgnoresScopes(t *testing.T) {
	x := NewIndex()
	x.Put(sub("scoped", "Root/Sales", topic.TypeTest, topic.TypeQueue))
	x.Put(sub("open", "", topic.TypeTest))
	if got := ids(x.Match(topic.TypeTest, "")); got != "open scoped" {
		t.Errorf("got %q", got)
	}
	if got := ids(x.Match(topic.TypeQueue, "")); got != "" {
		t.Errorf("a record without a path matches %q", got)
	}
}

func TestAnInactiveSubscriptionIsAMatchThatSaysSo(t *testing.T) {
	x := NewIndex()
	s := sub("a", "", topic.TypeQueue)
	s.Active = false
	x.Put(s)
	if got := ids(x.Match(topic.TypeQueue, "")); got != "a(inactive)" {
		t.Errorf("got %q", got)
	}
}

func TestTheSeparatorIsConfigurable(t *testing.T) {
	x := NewIndexWithSeparator(" > ")
	x.Put(sub("a", "Root > Sales/EMEA", topic.TypeQueue))
	if got := ids(x.Match(topic.TypeQueue, "Root > Sales/EMEA > DE")); got != "a" {
		t.Errorf("got %q", got)
	}
	if got := ids(x.Match(topic.TypeQueue, "Root > Sales")); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestTheNewestVersionCountsAndADeletedOneStaysDeleted(t *testing.T) {
	x := NewIndex()
	v2 := sub("a", "Root", topic.TypeQueue, topic.TypeQueue)
	v2.Version = 2
	x.Put(v2)
	x.Put(sub("a", "", topic.TypeQueue)) // version 1, late
	if got := ids(x.Match(topic.TypeQueue, "")); got != "" {
		t.Fatalf("an old version counts: %q", got)
	}
	v3 := sub("a", "", topic.TypeIvr)
	v3.Version = 3
	x.Put(v3)
	if got := ids(x.Match(topic.TypeQueue, "Root")); got != "" {
		t.Errorf("a type that was removed matches: %q", got)
	}
	if got := ids(x.Match(topic.TypeIvr, "")); got != "a" {
		t.Errorf("got %q", got)
	}
	x.Put(&Subscription{ID: "a", Version: 4, Deleted: true, Events: v3.Events})
	x.Put(v3)
	if got := ids(x.Match(topic.TypeIvr, "")); got != "" || x.Len() != 0 {
		t.Errorf("a deleted one matches: %q, %d left", got, x.Len())
	}
	if len(x.types) != 0 {
		t.Errorf("empty branches are left: %v", x.types)
	}
}

// The index against the definition, over random changes.
func TestMatchesAreThoseOfTheDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	units := []string{"A", "B", "C"}
	path := func(least int) string {
		var p []string
		for range least + rnd.IntN(4) {
			p = append(p, units[rnd.IntN(len(units))])
		}
		return strings.Join(p, "/")
	}
	x := NewIndex()
	model := map[string]*Subscription{}
	for step := range 4000 {
		s := sub(fmt.Sprintf("s%02d", rnd.IntN(40)), path(0))
		s.Version = int64(step + 1)
		s.Active = rnd.IntN(4) > 0
		s.Deleted = rnd.IntN(5) == 0
		for _, e := range EventTypes {
			if rnd.IntN(2) == 0 {
				s.Events = append(s.Events, e)
			}
		}
		x.Put(s)
		model[s.ID] = s

		eventType, at := EventTypes[rnd.IntN(len(EventTypes))], path(0)
		var want []Match
		for _, m := range model {
			if m.Deleted || !slices.Contains(m.Events, eventType) {
				continue
			}
			if eventType == topic.TypeTest || topic.IsSystem(eventType) || InScope(m.OUScope, at, "/") {
				want = append(want, Match{Subscription: m, Inactive: !m.Active})
			}
		}
		slices.SortFunc(want, func(a, b Match) int { return strings.Compare(a.Subscription.ID, b.Subscription.ID) })
		if got := x.Match(eventType, at); ids(got) != ids(want) {
			t.Fatalf("step %d, %s at %q: got %q, want %q", step, eventType, at, ids(got), ids(want))
		}
	}
}

func TestReadersAndAWriterAgree(t *testing.T) {
	x := NewIndex()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, m := range x.Match(topic.TypeQueue, "Root/Sales/EMEA") {
					if m.Subscription.ID == "" {
						t.Error("a match without a subscription")
					}
				}
			}
		})
	}
	for i := range 2000 {
		s := sub(fmt.Sprintf("s%d", i%50), []string{"", "Root", "Root/Sales"}[i%3], topic.TypeQueue)
		s.Version = int64(i)
		s.Deleted = i%7 == 0
		x.Put(s)
	}
	close(done)
	wg.Wait()
}

func tenThousand() []*Subscription {
	subs := make([]*Subscription, 10_000)
	for i := range subs {
		subs[i] = sub(fmt.Sprintf("sub_%05d", i), fmt.Sprintf("Root/D%d/T%d", i%100, i%1000), topic.TypeQueue, topic.TypeAgent)
	}
	return subs
}

func TestAMatchBringsItsFilterCompiled(t *testing.T) {
	x := NewIndex()
	s := sub("a", "", topic.TypeQueue, topic.TypeTest)
	s.Filter = `cdr.QueueName == "Sales"`
	x.Put(s)
	x.Put(sub("b", "", topic.TypeQueue))
	matches := x.Match(topic.TypeQueue, "")
	if len(matches) != 2 || matches[0].Filter == nil || matches[0].FilterError != nil || matches[1].Filter != nil {
		t.Fatalf("%+v", matches)
	}
	if m := x.Match(topic.TypeTest, ""); len(m) != 1 || m[0].Filter != nil {
		t.Errorf("a test event is filtered: %+v", m)
	}
	first := matches[0].Filter

	same := *s
	same.Version = 2
	x.Put(&same)
	if got := x.Match(topic.TypeQueue, "")[0].Filter; got != first {
		t.Error("compiled again although it did not change")
	}
	broken := *s
	broken.Version, broken.Filter = 3, `cdr.QueueName.fromTheFuture()`
	x.Put(&broken)
	if m := x.Match(topic.TypeQueue, "")[0]; m.Filter != nil || m.FilterError == nil {
		t.Errorf("%+v", m)
	}
	without := *s
	without.Version, without.Filter = 4, ""
	x.Put(&without)
	if m := x.Match(topic.TypeQueue, "")[0]; m.Filter != nil || m.FilterError != nil {
		t.Errorf("%+v", m)
	}
}

func BenchmarkMatchOfTenOutOfTenThousand(b *testing.B) {
	x := NewIndex()
	for _, s := range tenThousand() {
		x.Put(s)
	}
	if n := len(x.Match(topic.TypeQueue, "Root/D42/T142/Team")); n != 10 {
		b.Fatalf("%d matches", n)
	}
	b.ReportAllocs()
	for b.Loop() {
		x.Match(topic.TypeQueue, "Root/D42/T142/Team")
	}
}

func BenchmarkColdStartWithTenThousand(b *testing.B) {
	subs := tenThousand()
	for b.Loop() {
		x := NewIndex()
		for _, s := range subs {
			x.Put(s)
		}
	}
}

func BenchmarkColdStartWithTenThousandOfOneScope(b *testing.B) {
	subs := tenThousand()
	for i := range subs {
		subs[i] = sub(subs[len(subs)-1-i].ID, "", topic.TypeQueue)
	}
	for b.Loop() {
		x := NewIndex()
		for _, s := range subs {
			x.Put(s)
		}
	}
}

func BenchmarkColdStartWithTenThousandFilters(b *testing.B) {
	subs := tenThousand()
	for i, s := range subs {
		s.Filter = fmt.Sprintf(`cdr.QueueName == "Queue %d" && cdr.TalkTime > 60`, i)
	}
	for b.Loop() {
		x := NewIndex()
		for _, s := range subs {
			x.Put(s)
		}
	}
}
