package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Level says how bad a finding is.
type Level string

// Levels.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Checks, by which findings are told apart.
const (
	CheckSettings  = "settings"
	CheckBroker    = "kafka.broker"
	CheckSecurity  = "kafka.security"
	CheckCluster   = "kafka.cluster"
	CheckTopics    = "kafka.topics"
	CheckRetention = "kafka.retention"
	CheckGroups    = "kafka.groups"
	CheckRouters   = "routers.instance"
	CheckKeys      = "keys"
	CheckClock     = "clock"
	CheckDatabase  = "database"
	CheckMigration = "database.migration"
	CheckPorts     = "ports"
	CheckDisk      = "disk"
	CheckAdmin     = "admin"
)

// Finding is one thing that was looked at.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	// What was found, in a sentence.
	What string `json:"what"`
	// Why it matters, and what to do: empty when all is well.
	Why string `json:"why,omitempty"`
	Do  string `json:"do,omitempty"`
}

// Report is all that was found, in the order of the checks.
type Report []Finding

func (r *Report) add(check string, level Level, what, why, do string) {
	*r = append(*r, Finding{check, level, what, why, do})
}

func (r *Report) ok(check, what string, args ...any) {
	r.add(check, OK, fmt.Sprintf(what, args...), "", "")
}

// Count of the findings of a level.
func (r *Report) Count(level Level) int {
	n := 0
	for _, f := range *r {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Has says whether a check found something of a level.
func (r *Report) Has(check string, level Level) bool {
	return slices.ContainsFunc(*r, func(f Finding) bool { return f.Check == check && f.Level == level })
}

// write prints a table on a terminal, and JSON lines elsewhere.
func (r *Report) write(out io.Writer) error {
	if !client.Terminal(out) {
		for _, f := range *r {
			if err := client.Line(out, f); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := io.WriteString(out, r.text())
	return err
}

// text is the table for people: what is well in a line, the rest with what to do.
func (r *Report) text() string {
	var b strings.Builder
	for _, f := range *r {
		fmt.Fprintf(&b, "%-4s  %-18s  %s\n", f.Level, f.Check, client.Plain(f.What))
		for _, more := range []struct{ name, text string }{{"why", f.Why}, {"do", f.Do}} {
			if more.text != "" {
				fmt.Fprintf(&b, "%26s%s: %s\n", "", more.name, client.Plain(more.text))
			}
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warn, %d fail\n", r.Count(OK), r.Count(Warn), r.Count(Fail))
	return b.String()
}
