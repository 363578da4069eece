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
	Variant    string
	ScenarioID string
	Legs       []cdrclient.CDR
}

// Records are the CDRs of the call, to be kept or changed.
func (c Call) Records() []cdrclient.CDR { return append([]cdrclient.CDR(nil), c.Legs...) }

type ivr struct {
	id, name, path string
}

type queue struct {
	id, name, path string
	choice         string // in the IVR
	ivr            ivr
}

var (
	mainMenu    = ivr{"31", "Main menu", "Root"}
	supportMenu = ivr{"32", "Support menu", "Root/Support"}

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
	mix    Mix
}

// NewGenerator makes a generator whose calls depend on nothing but seed, mix and the
// times given to it. No mix is the default one.
func NewGenerator(seed uint64, mix Mix) *Generator {
	if len(mix) == 0 {
		mix = DefaultMix()
	}
	g := &Generator{rand: rand.New(rand.NewPCG(seed, 0x61667465)), mix: mix}
	for i := range agents {
		first, last := firstNames[i%len(firstNames)], lastNames[(i*5+1)%len(lastNames)]
		g.agents = append(g.agents, agent{
			person: person{first + " " + last, g.guid(), fmt.Sprintf("agent%02d@contoso.example", i+1), fmt.Sprintf("+1202555%04d", 150+i)},
			id:     strconv.Itoa(70 + i),
		})
	}
	return g
}

// Call makes up a call that ended at end, of a variant that the mix gives.
func (g *Generator) Call(end time.Time) Call { return g.Of(g.mix.pick(g.rand), end) }

// Of makes up a call of a variant.
func (g *Generator) Of(variant string, end time.Time) Call {
	c := &making{g: g, scenario: g.guid(), speaks: g.language(), customer: strconv.Itoa(10000 + g.rand.IntN(90000))}
	c.caller = g.caller(c.speaks)
	variants[variant](c)
	// All is told from the call's start; now it is known when that was.
	c.start = end.UTC().Truncate(time.Millisecond).Add(-c.now)
	out := Call{Variant: variant, ScenarioID: c.scenario}
	for _, leg := range c.legs {
		out.Legs = append(out.Legs, leg())
	}
	return out
}

// caller is from the street, mostly: no account, no UPN.
func (g *Generator) caller(speaks *language) person {
	p := person{name: speaks.names[g.rand.IntN(len(speaks.names))], number: fmt.Sprintf("+1%s555%04d", areaCodes[g.rand.IntN(len(areaCodes))], 100+g.rand.IntN(100))}
	switch g.rand.IntN(10) {
	case 0, 1:
		p.adID = g.guid()
		p.upn = fmt.Sprintf("caller%02d@fabrikam.example", g.rand.IntN(100))
	case 2:
		p.name = "" // withheld by the network
	}
	return p
}

// 555-0100 to 555-0199 are kept free for fiction in every area.
var areaCodes = []string{"202", "212", "303", "415", "503", "617"}

func (g *Generator) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(g.rand.Int64N(int64(high-low)))).Truncate(100 * time.Millisecond)
}

// about is mostly near usual, now and then much longer, within bounds.
func (g *Generator) about(usual, least, most time.Duration) time.Duration {
	d := least + time.Duration(g.rand.ExpFloat64()*float64(usual-least))
	return min(d, most).Truncate(100 * time.Millisecond)
}

func (g *Generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

// other is another queue than q.
func (g *Generator) other(q queue) queue {
	for {
		if o := queues[g.rand.IntN(len(queues))]; o.id != q.id {
			return o
		}
	}
}

// agent draws one who is none of these.
func (g *Generator) agent(not ...agent) agent {
	for {
		a := g.agents[g.rand.IntN(len(g.agents))]
		free := true
		for _, n := range not {
			free = free && n.id != a.id
		}
		if free {
			return a
		}
	}
}

// guid is a version 4 UUID from the generator's own randomness.
func (g *Generator) guid() string {
	a, b := g.rand.Uint64(), g.rand.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}
