package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// callClosures compares the closures of random forests of records with a model
// that knows no index, no round and no limit.
func callClosures(t *testing.T, db *store.DB) {
	rnd := rand.New(rand.NewPCG(20260314, 7))
	for forest := range 25 {
		name := func(n int) string { return fmt.Sprintf("f%d_%d", forest, n) }
		var all []*aftercallv1.Event
		pick := func(n int) string {
			switch rnd.IntN(6) {
			case 0:
				return "Null"
			case 1, 2:
				return ""
			}
			return name(rnd.IntN(n))
		}
		names := 3 + rnd.IntN(40)
		for i := range 2 + rnd.IntN(60) {
			// Chains of up to some days, with gaps around the limit.
			at := Start.Add(time.Duration(rnd.IntN(9)) * 12 * time.Hour)
			all = append(all, &aftercallv1.Event{
				EventId: fmt.Sprintf("evt_%d_%03d", forest, i), CallId: pick(names), ScenarioId: pick(names), ParentId: pick(names), OccurredAt: timestamppb.New(at), RoutedAt: timestamppb.New(at),
				EventType: []string{topic.TypeQueue, topic.TypeAgent, topic.TypeRecording}[rnd.IntN(3)],
			})
		}
		project(t, db, &store.Batch{Events: all})
		for n := range names + 1 {
			checkCall(t, db, name(n), modelClosure(all, name(n)))
		}
	}
}

func modelIDs(e *aftercallv1.Event) []string {
	return slices.DeleteFunc([]string{e.GetCallId(), e.GetScenarioId(), e.GetParentId()}, func(id string) bool { return id == "" || id == "Null" })
}

// modelClosure is the fixed point, by comparing everything with everything.
func modelClosure(all []*aftercallv1.Event, id string) []string {
	in := map[string]bool{}
	for _, e := range all {
		in[e.GetEventId()] = slices.Contains(modelIDs(e), id)
	}
	for grown := true; grown; {
		grown = false
		for _, a := range all {
			for _, b := range all {
				if in[a.GetEventId()] && !in[b.GetEventId()] && a.GetOccurredAt().AsTime().Sub(b.GetOccurredAt().AsTime()).Abs() <= store.CallWindow &&
					slices.ContainsFunc(modelIDs(a), func(id string) bool { return slices.Contains(modelIDs(b), id) }) {
					in[b.GetEventId()], grown = true, true
				}
			}
		}
	}
	var ids []string
	for id, ok := range in {
		if ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func checkCall(t *testing.T, db *store.DB, id string, want []string) {
	t.Helper()
	c, err := db.Call(ctx, id)
	if len(want) == 0 {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("call %s answered %v", id, err)
		}
		return
	}
	must(t, err)
	var got []string
	at := map[string]int{}
	for i, e := range c.Events {
		got = append(got, e.EventID)
		at[e.EventID] = i
		p, ok := at[e.ParentEventID]
		switch {
		case e.ParentEventID == "" && e.Depth != 0, e.ParentEventID != "" && (!ok || c.Events[p].Depth != e.Depth-1):
			t.Errorf("call %s: %s at depth %d does not follow its parent %q", id, e.EventID, e.Depth, e.ParentEventID)
		case e.ParentEventID != "" && e.ParentID != "" && c.Events[p].CallID != e.ParentID:
			t.Errorf("call %s: %s stands under a record that is not its parent", id, e.EventID)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || c.Truncated {
		t.Errorf("call %s is\n%s\nwant\n%s", id, strings.Join(got, " "), strings.Join(want, " "))
	}
}

// callTrees are those that people know.
func callTrees(t *testing.T, db *store.DB) {
	event := func(id, eventType, call, parent string, after time.Duration) *aftercallv1.Event {
		at := timestamppb.New(Start.Add(after))
		return &aftercallv1.Event{EventId: id, EventType: eventType, CallId: call, ScenarioId: "S", ParentId: parent, OccurredAt: at, RoutedAt: at}
	}
	project(t, db, &store.Batch{Events: []*aftercallv1.Event{
		event("evt_ivr", topic.TypeIvr, "1", "", 0),
		event("evt_queue", topic.TypeQueue, "2", "1", 3*time.Minute),
		event("evt_agent", topic.TypeAgent, "3", "2", 2*time.Minute),
		event("evt_recording", topic.TypeRecording, "3", "", 4*time.Minute),
		event("evt_news", topic.TypeDeliveryGivenUp, "2", "", 5*time.Minute),
		event("evt_other", topic.TypeQueue, "9", "8", 6*time.Minute),
		event("evt_x", topic.TypeQueue, "x", "y", 7*time.Minute),
		event("evt_y", topic.TypeQueue, "y", "x", 8*time.Minute),
	}})
	c, err := db.Call(ctx, "3")
	must(t, err)
	var got []string
	for _, e := range c.Events {
		got = append(got, fmt.Sprintf("%s%s<%s", strings.Repeat(">", e.Depth), e.EventID, e.ParentEventID))
	}
	want := "evt_ivr< >evt_queue<evt_ivr >>evt_agent<evt_queue >>>evt_recording<evt_agent >>evt_news<evt_queue evt_other< evt_x< >evt_y<evt_x"
	if strings.Join(got, " ") != want {
		t.Errorf("the tree is\n%s\nwant\n%s", strings.Join(got, " "), want)
	}
	// A chain longer than fits says so.
	var chain []*aftercallv1.Event
	for i := range store.MaxCallEvents + 10 {
		at := timestamppb.New(Start.Add(time.Duration(i) * time.Second))
		chain = append(chain, &aftercallv1.Event{EventId: fmt.Sprintf("evt_c%03d", i), CallId: fmt.Sprintf("c%d", i), ParentId: fmt.Sprintf("c%d", i-1), OccurredAt: at, RoutedAt: at})
	}
	project(t, db, &store.Batch{Events: chain})
	if c, err = db.Call(ctx, "c0"); err != nil || len(c.Events) != store.MaxCallEvents || !c.Truncated || c.Events[150].Depth != 150 {
		t.Errorf("the chain has %d records, %v", len(c.Events), err)
	}
}
