package simulate

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/cdr"
	"github.com/aftercall/aftercall/pkg/cdrclient"
	"github.com/aftercall/aftercall/pkg/topic"
)

var ended = time.Date(2026, 3, 2, 10, 15, 4, 875e6, time.UTC)

func TestTheSameSeedGivesTheSameCalls(t *testing.T) {
	a, b, other := NewGenerator(7), NewGenerator(7), NewGenerator(8)
	for range 20 {
		x, y := a.Call(ended), b.Call(ended)
		if !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\n%+v", x, y)
		}
		if reflect.DeepEqual(x, other.Call(ended)) {
			t.Fatal("another seed gives the same call")
		}
	}
}

func TestTheLegsOfACallBelongTogether(t *testing.T) {
	g := NewGenerator(1)
	seen := map[cdrclient.ID]bool{}
	queueNames, paths := map[string]bool{}, map[string]bool{}
	for range 200 {
		c := g.Call(ended)
		for _, id := range []cdrclient.ID{c.Ivr.CallId, c.Queue.CallId, c.Agent.CallId, c.Recording.CallId} {
			if seen[id] {
				t.Fatalf("the call id %s is used twice", id)
			}
			seen[id] = true
		}
		for _, id := range []cdrclient.ID{c.Ivr.ScenarioId, c.Queue.ScenarioId, c.Agent.ScenarioId, c.Recording.ScenarioId} {
			if string(id) != c.ScenarioID || c.ScenarioID == "" {
				t.Fatalf("scenario ids differ: %+v", c)
			}
		}
		if c.Ivr.ParentId != "" || c.Queue.ParentId != c.Ivr.CallId || c.Agent.ParentId != c.Queue.CallId {
			t.Fatalf("parents do not link: %+v", c)
		}
		if c.Ivr.TransferToName != c.Queue.QueueName || c.Ivr.TrasnferToId != c.Queue.QueueId || c.Queue.From != c.Ivr.IvrName || c.Agent.InteractionObjectId != c.Queue.QueueId {
			t.Fatalf("the legs lead elsewhere: %+v", c)
		}
		if c.Queue.OUPath != c.Ivr.OUPath || c.Queue.OUPath != c.Agent.OUPath || c.Queue.OUPath != c.Recording.OuPath {
			t.Fatalf("organization units differ: %+v", c)
		}
		if c.Queue.AgentId != c.Agent.AgentId || c.Recording.RecordedUserName != c.Agent.AgentName || c.Recording.CallerNumber != c.Queue.CallerNumber {
			t.Fatalf("people differ: %+v", c)
		}
		ivrStart, ivrEnd := at(t, c.Ivr.StartDateTime), at(t, c.Ivr.EndDateTime)
		queueStart, queueEnd := at(t, c.Queue.StartDateTime), at(t, c.Queue.EndDateTime)
		agentStart, agentEnd := at(t, c.Agent.StartDateTime), at(t, c.Agent.EndDateTime)
		wait, talk := seconds(t, c.Queue.WaitTime), seconds(t, c.Queue.TalkTime)
		switch {
		case !ivrStart.Before(ivrEnd), !ivrEnd.Equal(queueStart), !queueStart.Add(wait).Equal(agentStart),
			!agentStart.Add(talk).Equal(agentEnd), !agentEnd.Equal(queueEnd), !queueEnd.Equal(ended),
			seconds(t, c.Queue.CallLength) != wait+talk, seconds(t, c.Ivr.CallLength) != ivrEnd.Sub(ivrStart),
			c.Recording.StartDateTime != c.Agent.StartDateTime, c.Recording.EndDateTime != c.Agent.EndDateTime:
			t.Fatalf("times do not join: %+v", c)
		}
		queueNames[c.Queue.QueueName], paths[c.Queue.OUPath] = true, true
	}
	if len(queueNames) < 4 || len(paths) < 4 {
		t.Fatalf("only the queues %v at %v", queueNames, paths)
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

func TestTheRouterTakesSimulatedRecordsWithoutAWarning(t *testing.T) {
	g := NewGenerator(3)
	for range 50 {
		for _, record := range g.Call(ended).Records() {
			value, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cdr.Decode(cdr.Input{Topic: topic.CDRQueue, TypeOfTopic: record.EventType(), Value: value, Timestamp: ended})
			if err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			if len(got.Warnings) != 0 || got.OUPath == "" || got.ScenarioID == "" {
				t.Fatalf("%+v", got)
			}
		}
	}
}
