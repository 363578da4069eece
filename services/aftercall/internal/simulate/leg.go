package simulate

import (
	"fmt"
	"math"
	"time"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

// making is a call on its way: now is how long it has lasted, and each leg is told
// from its start.
type making struct {
	g        *Generator
	scenario string
	caller   person
	speaks   *language
	customer string
	now      time.Duration
	start    time.Time
	legs     []func() cdrclient.CDR
}

func (c *making) at(d time.Duration) cdrclient.DateTime { return cdrclient.At(c.start.Add(d)) }

// menu is a while in an IVR, which leads to a queue, or to nothing.
func (c *making) menu(m ivr, to *queue) (id string) {
	id = c.g.guid()
	begun, took := c.now, c.g.between(8*time.Second, 45*time.Second)
	c.now += took
	c.legs = append(c.legs, func() cdrclient.CDR {
		r := cdrclient.IvrCDR{
			CallId: cdrclient.ID(id), ScenarioId: cdrclient.ID(c.scenario), CallDirection: "Inbound",
			CallerName: c.caller.name, CallerAdId: cdrclient.ID(c.caller.adID), CallerUpn: c.caller.upn, CallerNumber: c.caller.number,
			StartDateTime: c.at(begun), EndDateTime: c.at(begun + took), CallLength: cdrclient.Seconds(took),
			IvrId: cdrclient.ID(m.id), IvrName: m.name, ResourceAccountObjectId: "Null", OUPath: m.path,
			IvrInputs: []cdrclient.IvrInput{
				{ID: "1", InputDateTime: c.at(begun + took/2), BlockName: "Customer number", ParameterName: "CustomerNumber", ParameterValue: cdrclient.Text(c.customer), BlockType: "DataCollection"},
			},
			DataValue01: cdrclient.Text(c.customer),
		}
		choice := "9"
		if to != nil {
			choice = to.choice
			r.TransferType, r.TrasnferToId, r.TransferToName = "Queue", cdrclient.ID(to.id), to.name
		}
		r.IvrInputs = append(r.IvrInputs, cdrclient.IvrInput{ID: "2", InputDateTime: c.at(begun + took), BlockName: m.name, ParameterName: "Choice", ParameterValue: cdrclient.Text(choice), BlockType: "Menu"})
		r.DataValue02 = cdrclient.Text(choice)
		return r
	})
	return id
}

// queued is how a queue call went.
type queued struct {
	q            queue
	parent, from string
	wait, talk   time.Duration
	answered     *agent
	reason       string
	transfer     string // its type
	toID, toName string
	callback     string
}

// queue adds a queue call that began at a time. The clock is its caller's.
func (c *making) queue(begun time.Duration, w queued) (id string) {
	id = c.g.guid()
	c.legs = append(c.legs, func() cdrclient.CDR {
		r := cdrclient.QueueCDR{
			CallId: cdrclient.ID(id), ScenarioId: cdrclient.ID(c.scenario), CallDirection: "Inbound",
			CallerName: c.caller.name, CallerAdId: cdrclient.ID(c.caller.adID), CallerUpn: c.caller.upn, CallerNumber: c.caller.number,
			StartDateTime: c.at(begun), EndDateTime: c.at(begun + w.wait + w.talk), CallLength: cdrclient.Seconds(w.wait + w.talk),
			WaitTime: cdrclient.Seconds(w.wait), TalkTime: cdrclient.Seconds(w.talk),
			QueueId: cdrclient.ID(w.q.id), QueueName: w.q.name, ResourceAccountObjectId: "Null", OUPath: w.q.path,
			ParentId: cdrclient.ID(w.parent), From: w.from, MetServiceLevel: cdrclient.FlagOf(w.answered != nil && w.wait <= 30*time.Second),
			CallbackRequestId: cdrclient.ID(w.callback), LeaveReason: w.reason,
			TransferType: w.transfer, TransferToId: cdrclient.ID(w.toID), TransferToName: w.toName,
		}
		if a := w.answered; a != nil {
			r.AgentName, r.AgentUpn, r.AgentId, r.AgentAdId = a.name, a.upn, cdrclient.ID(a.id), cdrclient.ID(a.adID)
		}
		return r
	})
	return id
}

// rang is how an agent's call went.
type rang struct {
	a            agent
	q            *queue // through which it came; nil for a direct one
	parent       string
	begun, took  time.Duration
	state        string
	outbound     bool
	transferring bool
}

// agent adds an agent's call, and its recording where it was connected and recorded.
func (c *making) agent(w rang) (id string) {
	id = c.g.guid()
	mood := c.g.rand.Float64()
	wrapup := c.g.about(20*time.Second, 3*time.Second, 5*time.Minute)
	resolved, again := c.g.chance(80), c.g.chance(15)
	mark := 1 + c.g.rand.IntN(5)
	c.legs = append(c.legs, func() cdrclient.CDR {
		r := cdrclient.AgentCDR{
			CallId: cdrclient.ID(id), ScenarioId: cdrclient.ID(c.scenario), CallDirection: direction(w.outbound),
			CallerName: c.caller.name, CallerAdId: cdrclient.ID(c.caller.adID), CallerUpn: c.caller.upn, CallerNumber: c.caller.number,
			StartDateTime: c.at(w.begun), EndDateTime: c.at(w.begun + w.took), CallLength: cdrclient.Seconds(w.took),
			AgentName: w.a.name, AgentUpn: w.a.upn, AgentId: cdrclient.ID(w.a.id), AgentAdId: cdrclient.ID(w.a.adID),
			ParentId: cdrclient.ID(w.parent), CallState: w.state, IsDirectCall: cdrclient.FlagOf(w.q == nil), OUPath: "Root",
		}
		if w.q != nil {
			r.InteractionObjectId, r.InteractionObjectName, r.OUPath = cdrclient.ID(w.q.id), w.q.name, w.q.path
		}
		if w.state != connected {
			return r
		}
		r.AverageSentimentScore, r.WrapupTime = cdrclient.Number(round(mood)), cdrclient.Seconds(wrapup)
		reason := "Question"
		if w.transferring {
			reason, resolved = "Wrong department", false
		}
		r.WrapupData = []cdrclient.WrapupAnswer{
			{QuestionId: "5", Order: cdrclient.Number(1), Question: "Was the issue resolved?", Answer: cdrclient.Text(yes(resolved))},
			{QuestionId: "6", Order: cdrclient.Number(2), Question: "Reason of the call", Answer: cdrclient.Text(reason)},
			{QuestionId: "7", Order: cdrclient.Number(3), Question: "Call again?", Answer: cdrclient.Bool(again)},
			{QuestionId: "8", Order: cdrclient.Number(4), Question: "How was the line, 1 to 5?", Answer: cdrclient.Number(mark)},
			{QuestionId: "9", Order: cdrclient.Number(5), Question: "Note", Answer: cdrclient.Text(c.speaks.note)},
		}
		return r
	})
	if w.state == connected && c.g.chance(92) {
		c.recording(w, mood)
	}
	return id
}

const (
	connected = "connected"
	missed    = "missed"
	rejected  = "rejected"
)

// mostPhrases keeps a transcript readable.
const mostPhrases = 40

func (c *making) recording(w rang, mood float64) {
	id := c.g.guid()
	mode := []string{"Always Record (Can Stop)", "Always Record (Can't Stop)", "On Demand"}[c.g.rand.IntN(3)]
	var phrases []func() cdrclient.TranscribedPhrase
	speaks := c.speaks
	for said, n := 2*time.Second, 0; said < w.took && n < mostPhrases && c.g.rand.IntN(60) > 0; n++ {
		lines := speaks.agent
		if n%2 == 1 {
			lines = speaks.caller
		}
		text, score, when := lines[n/2%len(lines)], round(min(max(mood+(c.g.rand.Float64()-0.5)/3, 0), 1)), w.begun+said
		phrases = append(phrases, func() cdrclient.TranscribedPhrase {
			return cdrclient.TranscribedPhrase{SentimentScore: cdrclient.Number(score), Phrase: text, CreationTime: c.at(when)}
		})
		said += c.g.between(3*time.Second, 25*time.Second)
	}
	c.legs = append(c.legs, func() cdrclient.CDR {
		r := cdrclient.RecordingCDR{
			CallId: cdrclient.ID(id), ScenarioId: cdrclient.ID(c.scenario),
			StartDateTime: c.at(w.begun), EndDateTime: c.at(w.begun + w.took), CallDirection: direction(w.outbound), CallLength: cdrclient.Seconds(w.took),
			CallerName: c.caller.name, CallerAdId: cdrclient.ID(c.caller.adID), CallerNumber: c.caller.number, CallerUpn: c.caller.upn,
			CalleeName: w.a.name, CalleeAdId: cdrclient.ID(w.a.adID), CalleeUpn: w.a.upn, CalleeNumber: w.a.number, OuPath: "Root",
			RecordingFileName: fmt.Sprintf("recordings/%s/%s.mp4", c.start.Add(w.begun).Format("2006/01/02"), id), RecordingMode: mode,
			RecordedUserName: w.a.name, RecordedUserUpn: w.a.upn, RecordedUserAdId: cdrclient.ID(w.a.adID),
		}
		if w.q != nil {
			r.OuPath = w.q.path
		}
		for _, p := range phrases {
			r.Transcription = append(r.Transcription, p())
		}
		return r
	})
}

func direction(outbound bool) string {
	if outbound {
		return "Outbound"
	}
	return "Inbound"
}

func yes(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

func round(f float64) float64 { return math.Round(f*100) / 100 }
