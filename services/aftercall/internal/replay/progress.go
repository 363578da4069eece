package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// bar shows progress on a terminal, and nothing elsewhere. It is a bar of what is
// left: what was done before would count as done within the first second, and the
// rate and the time left would be wrong.
func bar(errs io.Writer, total, before int64) *progressbar.ProgressBar {
	if !terminal(errs) {
		errs = io.Discard
	}
	what := "deliveries"
	if before > 0 {
		what = fmt.Sprintf("deliveries, after %d before", before)
	}
	return progressbar.NewOptions64(total-before, progressbar.OptionSetWriter(errs), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("deliveries"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// tell prints v as a JSON line in a pipe, or the text on a terminal.
func tell(out io.Writer, v any, text func(io.Writer)) error {
	if terminal(out) {
		text(out)
		return nil
	}
	return json.NewEncoder(out).Encode(v)
}

// plan is a plan in a pipe.
type plan struct {
	Subscription string           `json:"subscription_id"`
	Send         int64            `json:"send"`
	Skip         map[string]int64 `json:"skip"`
}

func (c counts) plans() []plan {
	var out []plan
	for _, id := range slices.Sorted(maps.Keys(c)) {
		p := plan{id, c[id]["send"], map[string]int64{}}
		for what, n := range c[id] {
			if what != "send" {
				p.Skip[what] = n
			}
		}
		out = append(out, p)
	}
	return out
}

func printPlans(out io.Writer, plans []plan) error {
	if len(plans) == 0 && terminal(out) {
		_, err := fmt.Fprintln(out, "Nothing to send in this span.")
		return err
	}
	for _, p := range plans {
		err := tell(out, p, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%-40s %7d to send", p.Subscription, p.Send)
			for _, what := range slices.Sorted(maps.Keys(p.Skip)) {
				_, _ = fmt.Fprintf(w, ", %d %s", p.Skip[what], what)
			}
			_, _ = fmt.Fprintln(w)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
