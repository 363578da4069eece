package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

// Call is the records of one call, in the order of its legs.
type Call struct {
	ScenarioID string
	Ivr        cdrclient.IvrCDR
	Queue      cdrclient.QueueCDR
	Agent      cdrclient.AgentCDR
	Recording  cdrclient.RecordingCDR
}

// Records are the CDRs of the call.
func (c Call) Records() []cdrclient.CDR {
	return []cdrclient.CDR{c.Ivr, c.Queue, c.Agent, c.Recording}
}

type ivr struct {
	id, name string
}

type queue struct {
	id, name, path string
	choice         string // in the IVR
	ivr            ivr
}

var (
	mainMenu    = ivr{"31", "Main menu"}
	supportMenu = ivr{"32", "Support menu"}

	queues = []queue{
		{"412", "Sales EMEA", "Root/Sales/EMEA", "1", mainMenu},
		{"413", "Sales Americas", "Root/Sales/Americas", "2", mainMenu},
		{"420", "Support", "Root/Support", "1", supportMenu},
		{"421", "Billing", "Root/Support/Billing", "2", supportMenu},
		{"401", "Front desk", "Root", "0", mainMenu},
	}
)

type person struct {
	name, adID, upn, number string
}

type agent struct {
	person
	id string
}

const agents = 12

var (
	firstNames = []string{"Dana", "Noor", "Mika", "Ines", "Tomasz", "Aiko", "Samir", "Lena", "Oluwaseun", "Chloé", "Mateo", "Priya"}
	lastNames  = []string{"Whitfield", "Haddad", "Virtanen", "Carvalho", "Nowak", "Sato", "Rahman", "Vogel", "Adeyemi", "Lefèvre", "Rojas", "Iyer"}
)

// Generator makes up calls. It is not safe for concurrent use.
type Generator struct {
	rand   *rand.Rand
	agents []agent
}

// NewGenerator makes a generator whose calls depend on nothing but seed and the
// times given to it.
func NewGenerator(seed uint64) *Generator {
	g := &Generator{rand: rand.New(rand.NewPCG(seed, 0x61667465))}
	for i := range agents {
		first, last := firstNames[i%len(firstNames)], lastNames[(i*5+1)%len(lastNames)]
		g.agents = append(g.agents, agent{
			person: person{first + " " + last, g.guid(), fmt.Sprintf("agent%02d@contoso.example", i+1), fmt.Sprintf("+1202555%04d", 150+i)},
			id:     strconv.Itoa(70 + i),
		})
	}
	return g
}

// Call makes up a call that ended at end.
func (g *Generator) Call(end time.Time) Call {
	end = end.UTC().Truncate(time.Millisecond)
	var (
		talk     = g.between(20*time.Second, 9*time.Minute)
		wait     = g.between(2*time.Second, 2*time.Minute)
		menu     = g.between(8*time.Second, 45*time.Second)
		answered = end.Add(-talk)
		queued   = answered.Add(-wait)
		start    = queued.Add(-menu)

		q        = queues[g.rand.IntN(len(queues))]
		a        = g.agents[g.rand.IntN(len(g.agents))]
		caller   = g.caller()
		scenario = g.guid()
		ids      = [4]string{g.guid(), g.guid(), g.guid(), g.guid()}
		customer = strconv.Itoa(10000 + g.rand.IntN(90000))
		metLevel = wait <= 30*time.Second
	)
	return Call{
		ScenarioID: scenario,
		Ivr: cdrclient.IvrCDR{
			CallId: cdrclient.ID(ids[0]), ScenarioId: cdrclient.ID(scenario), CallDirection: "Inbound",
			CallerName: caller.name, CallerAdId: cdrclient.ID(caller.adID), CallerUpn: caller.upn, CallerNumber: caller.number,
			StartDateTime: cdrclient.At(start), EndDateTime: cdrclient.At(queued), CallLength: cdrclient.Seconds(menu),
			IvrId: cdrclient.ID(q.ivr.id), IvrName: q.ivr.name, ResourceAccountObjectId: "Null", OUPath: q.path,
			TransferType: "Queue", TrasnferToId: cdrclient.ID(q.id), TransferToName: q.name,
			IvrInputs: []cdrclient.IvrInput{
				{ID: "1", InputDateTime: cdrclient.At(start.Add(menu / 2)), BlockName: "Customer number", ParameterName: "CustomerNumber", ParameterValue: cdrclient.Text(customer), BlockType: "DataCollection"},
				{ID: "2", InputDateTime: cdrclient.At(queued), BlockName: q.ivr.name, ParameterName: "Choice", ParameterValue: cdrclient.Text(q.choice), BlockType: "Menu"},
			},
			DataValue01: cdrclient.Text(customer), DataValue02: cdrclient.Text(q.choice),
		},
		Queue: cdrclient.QueueCDR{
			CallId: cdrclient.ID(ids[1]), ScenarioId: cdrclient.ID(scenario), CallDirection: "Inbound",
			CallerName: caller.name, CallerAdId: cdrclient.ID(caller.adID), CallerUpn: caller.upn, CallerNumber: caller.number,
			StartDateTime: cdrclient.At(queued), EndDateTime: cdrclient.At(end), CallLength: cdrclient.Seconds(wait + talk),
			WaitTime: cdrclient.Seconds(wait), TalkTime: cdrclient.Seconds(talk),
			QueueId: cdrclient.ID(q.id), QueueName: q.name, ResourceAccountObjectId: "Null", OUPath: q.path,
			ParentId: cdrclient.ID(ids[0]), From: q.ivr.name, MetServiceLevel: cdrclient.FlagOf(metLevel),
			AgentName: a.name, AgentUpn: a.upn, AgentId: cdrclient.ID(a.id), AgentAdId: cdrclient.ID(a.adID),
			LeaveReason: "Answered",
		},
		Agent: cdrclient.AgentCDR{
			CallId: cdrclient.ID(ids[2]), ScenarioId: cdrclient.ID(scenario), CallDirection: "Inbound",
			CallerName: caller.name, CallerAdId: cdrclient.ID(caller.adID), CallerUpn: caller.upn, CallerNumber: caller.number,
			StartDateTime: cdrclient.At(answered), EndDateTime: cdrclient.At(end), CallLength: cdrclient.Seconds(talk),
			AgentName: a.name, AgentUpn: a.upn, AgentId: cdrclient.ID(a.id), AgentAdId: cdrclient.ID(a.adID),
			InteractionObjectId: cdrclient.ID(q.id), InteractionObjectName: q.name, OUPath: q.path,
			ParentId: cdrclient.ID(ids[1]), CallState: "connected", IsDirectCall: cdrclient.False,
		},
		Recording: cdrclient.RecordingCDR{
			CallId: cdrclient.ID(ids[3]), ScenarioId: cdrclient.ID(scenario),
			StartDateTime: cdrclient.At(answered), EndDateTime: cdrclient.At(end), CallDirection: "Inbound", CallLength: cdrclient.Seconds(talk),
			CallerName: caller.name, CallerAdId: cdrclient.ID(caller.adID), CallerNumber: caller.number, CallerUpn: caller.upn,
			CalleeName: a.name, CalleeAdId: cdrclient.ID(a.adID), CalleeUpn: a.upn, CalleeNumber: a.number, OuPath: q.path,
			RecordingFileName: fmt.Sprintf("recordings/%s/%s.mp4", answered.Format("2006/01/02"), ids[3]),
			RecordingMode:     "Always Record (Can Stop)",
			RecordedUserName:  a.name, RecordedUserUpn: a.upn, RecordedUserAdId: cdrclient.ID(a.adID),
		},
	}
}

// caller is from the street, mostly: no account, no UPN.
func (g *Generator) caller() person {
	first, last := firstNames[g.rand.IntN(len(firstNames))], lastNames[g.rand.IntN(len(lastNames))]
	p := person{name: first + " " + last, number: fmt.Sprintf("+1%s555%04d", areaCodes[g.rand.IntN(len(areaCodes))], 100+g.rand.IntN(100))}
	if g.rand.IntN(5) == 0 {
		p.adID = g.guid()
		p.upn = fmt.Sprintf("caller%02d@fabrikam.example", g.rand.IntN(100))
	}
	return p
}

// 555-0100 to 555-0199 are kept free for fiction in every area.
var areaCodes = []string{"202", "212", "303", "415", "503", "617"}

func (g *Generator) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(g.rand.Int64N(int64(high-low)))).Truncate(100 * time.Millisecond)
}

// guid is a version 4 UUID from the generator's own randomness.
func (g *Generator) guid() string {
	a, b := g.rand.Uint64(), g.rand.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}
