package simulate

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

var ended = time.Date(2026, 3, 2, 10, 15, 4, 875e6, time.UTC)

func TestTheSameSeedAndMixGiveTheSameCalls(t *testing.T) {
	a, b, other := NewGenerator(7, nil), NewGenerator(7, DefaultMix()), NewGenerator(8, nil)
	for range 50 {
		x, y := a.Call(ended), b.Call(ended)
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\n%+v", x, y)
		}
		if reflect.DeepEqual(x, other.Call(ended)) {
			t.Fatal("another seed gives the same call")
		}
	}
}

// leg is what any record says of its place in the call.
type leg struct {
	kind, id, parent, scenario, path, caller, state, from, through string
	start, end                                                     time.Time
	length                                                         time.Duration
}

func legsOf(t *testing.T, c Call) (legs []leg) {
	t.Helper()
	for _, r := range c.Records() {
		var l leg
		switch r := r.(type) {
		case cdrclient.IvrCDR:
			l = leg{"ivr", string(r.CallId), string(r.ParentId), string(r.ScenarioId), r.OUPath, r.CallerNumber, "", r.From, r.IvrName, at(t, r.StartDateTime), at(t, r.EndDateTime), seconds(t, r.CallLength)}
		case cdrclient.QueueCDR:
			l = leg{"queue", string(r.CallId), string(r.ParentId), string(r.ScenarioId), r.OUPath, r.CallerNumber, r.LeaveReason, r.From, r.QueueName, at(t, r.StartDateTime), at(t, r.EndDateTime), seconds(t, r.CallLength)}
			if seconds(t, r.WaitTime)+seconds(t, r.TalkTime) != l.length || (r.AgentName == "") != (seconds(t, r.TalkTime) == 0) {
				t.Errorf("%s: waits %s, talks %s to %q", c.Variant, r.WaitTime, r.TalkTime, r.AgentName)
			}
		case cdrclient.AgentCDR:
			l = leg{"agent", string(r.CallId), string(r.ParentId), string(r.ScenarioId), r.OUPath, r.CallerNumber, r.CallState, "", r.InteractionObjectName, at(t, r.StartDateTime), at(t, r.EndDateTime), seconds(t, r.CallLength)}
			if (r.CallState == connected) != (len(r.WrapupData) > 0) {
				t.Errorf("a call that was %s has the wrap-up %v", r.CallState, r.WrapupData)
			}
		case cdrclient.RecordingCDR:
			l = leg{"recording", string(r.CallId), "", string(r.ScenarioId), r.OuPath, r.CallerNumber, "", "", r.RecordedUserName, at(t, r.StartDateTime), at(t, r.EndDateTime), seconds(t, r.CallLength)}
			for _, p := range r.Transcription {
				if said := at(t, p.CreationTime); said.Before(l.start) || said.After(l.end) {
					t.Errorf("said at %s, outside of the recording %s to %s", said, l.start, l.end)
				}
			}
		}
		legs = append(legs, l)
	}
	return legs
}

func TestTheLegsOfACallBelongTogether(t *testing.T) {
	g := NewGenerator(1, nil)
	seen, paths := map[string]bool{}, map[string]bool{}
	for _, variant := range Variants() {
		for range 60 {
			c := g.Of(variant, ended)
			legs := legsOf(t, c)
			byID := map[string]leg{}
			last := time.Time{}
			for _, l := range legs {
				if l.id == "" || seen[l.id] || l.scenario != c.ScenarioID || l.caller != legs[0].caller || l.path == "" {
					t.Fatalf("%s: %+v", variant, l)
				}
				seen[l.id], byID[l.id], paths[l.path] = true, l, true
				if !l.start.Before(l.end) || l.end.Sub(l.start) != l.length {
					t.Fatalf("%s: %+v", variant, l)
				}
				if l.end.After(last) {
					last = l.end
				}
			}
			if last.After(ended) || variant != Voicemail && !last.Equal(ended) {
				t.Fatalf("%s ended at %s, the last leg at %s", variant, ended, last)
			}
			for _, l := range legs {
				if l.kind == "recording" {
					if !slices.ContainsFunc(legs, func(o leg) bool {
						return o.kind == "agent" && o.state == connected && o.start.Equal(l.start) && o.end.Equal(l.end)
					}) {
						t.Fatalf("%s: no agent's call was recorded by %+v", variant, l)
					}
					continue
				}
				parent, there := byID[l.parent]
				switch {
				case l.parent == "" && (l.kind == "ivr" || variant == Direct):
				case !there:
					t.Fatalf("%s: %+v has no parent", variant, l)
				case l.kind == "queue" && (!l.start.Equal(parent.end) || l.from != parent.through):
					t.Fatalf("%s: %+v does not follow %+v", variant, l, parent)
				case l.kind == "agent" && (parent.kind != "queue" || l.through != parent.through || l.start.Before(parent.start) || variant != Callback && l.end.After(parent.end)):
					t.Fatalf("%s: %+v does not belong to %+v", variant, l, parent)
				}
			}
		}
	}
	if len(paths) < 5 {
		t.Fatalf("only the units %v", paths)
	}
}

func TestEachVariantIsWhatItsNameSays(t *testing.T) {
	g := NewGenerator(2, nil)
	count := func(legs []leg, kind, state string) (n int) {
		for _, l := range legs {
			if l.kind == kind && (state == "" || l.state == state) {
				n++
			}
		}
		return n
	}
	for variant, holds := range map[string]func(legs []leg) bool{
		Answered: func(l []leg) bool { return count(l, "queue", "Answered") == 1 && count(l, "agent", connected) == 1 },
		Transferred: func(l []leg) bool {
			return count(l, "queue", "Transferred") >= 1 && count(l, "queue", "Answered") == 1 && count(l, "agent", connected) == count(l, "queue", "")
		},
		Missed: func(l []leg) bool {
			return count(l, "agent", missed)+count(l, "agent", rejected) >= 1 && count(l, "agent", connected) == 1
		},
		Abandoned: func(l []leg) bool { return count(l, "queue", "Abandoned") == 1 && count(l, "agent", connected) == 0 },
		Overflow:  func(l []leg) bool { return count(l, "queue", "TimedOut") == 1 && count(l, "queue", "Answered") == 1 },
		Callback: func(l []leg) bool {
			return count(l, "queue", "CallbackRequested") == 1 && count(l, "agent", connected) == 1
		},
		Voicemail:   func(l []leg) bool { return count(l, "queue", "TimedOut") == 1 && count(l, "agent", "") == 0 },
		SelfService: func(l []leg) bool { return len(l) == 1 && l[0].kind == "ivr" },
		Direct:      func(l []leg) bool { return count(l, "queue", "") == 0 && count(l, "agent", "") == 1 },
	} {
		for range 40 {
			if legs := legsOf(t, g.Of(variant, ended)); !holds(legs) {
				t.Fatalf("%s is %+v", variant, legs)
			}
		}
	}
}

func TestPeopleSpeakInManyScripts(t *testing.T) {
	g := NewGenerator(4, Mix{Answered: 1})
	var spoken strings.Builder
	for range 150 {
		for _, r := range g.Call(ended).Records() {
			if r, ok := r.(cdrclient.RecordingCDR); ok {
				for _, p := range r.Transcription {
					spoken.WriteString(p.Phrase)
				}
			}
		}
	}
	said := spoken.String()
	for name, script := range map[string]*unicode.RangeTable{"Cyrillic": unicode.Cyrillic, "Arabic": unicode.Arabic, "Han": unicode.Han, "Hiragana": unicode.Hiragana, "Devanagari": unicode.Devanagari, "symbols": unicode.So} {
		if strings.IndexFunc(said, func(r rune) bool { return unicode.Is(script, r) }) < 0 {
			t.Errorf("nobody says anything in %s", name)
		}
	}
	for _, letters := range []string{"ç", "é", "ł", "ã", "ễ", "🇫🇮", "👍🏽", "🧑‍🚀"} {
		if !strings.Contains(said, letters) && !strings.Contains(strings.Join(names(), ""), letters) {
			t.Errorf("%s is nowhere", letters)
		}
	}
}

func names() (all []string) {
	for _, l := range languages {
		all = append(all, l.names...)
		all = append(all, l.agent...)
		all = append(all, l.caller...)
	}
	return all
}

func TestAMixGivesItsVariantsInTheirShares(t *testing.T) {
	mix, err := ParseMix("answered=3, abandoned=1,voicemail=0")
	if err != nil {
		t.Fatal(err)
	}
	r, drawn := rand.New(rand.NewPCG(1, 2)), map[string]int{}
	for range 4000 {
		drawn[mix.pick(r)]++
	}
	if len(drawn) != 2 || drawn[Answered] < 2800 || drawn[Answered] > 3200 {
		t.Errorf("drawn were %v", drawn)
	}
	if alone, err := ParseMix("transferred"); err != nil || alone.pick(r) != Transferred {
		t.Errorf("a name alone is %v, %v", alone, err)
	}
	for _, wrong := range []string{"", "nobody=1", "answered=-1", "answered=NaN", "answered=x", "answered=0", "answered=1,answered=2", "answered,"} {
		if got, err := ParseMix(wrong); err == nil {
			t.Errorf("%q is %v", wrong, got)
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(DefaultMix())), Variants()) || DefaultMix().sum() != 100 {
		t.Errorf("an ordinary day is %v", DefaultMix())
	}
}

func at(t *testing.T, d cdrclient.DateTime) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, string(d))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seconds(t *testing.T, v cdrclient.Value) time.Duration {
	t.Helper()
	var s float64
	if err := json.Unmarshal([]byte(v.String()), &s); err != nil {
		t.Fatal(err)
	}
	return time.Duration(s*1000+0.5) * time.Millisecond
}
