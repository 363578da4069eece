//go:build proof

package postgres_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

// How often each read is asked, of which the first few only warm up.
const (
	timesWarm  = 5
	timesAsked = 60
	// slack is what a read may take at any size: below it the ratio is noise.
	slack = 3 * time.Millisecond
)

// p95 of each read of two stores, asked in turns: what else the machine does slows
// both.
func p95(t *testing.T, small, big *grown) (few, many map[string]time.Duration) {
	t.Helper()
	few, many = map[string]time.Duration{}, map[string]time.Duration{}
	inBig := big.reads()
	for name, inSmall := range small.reads() {
		var took [2][]time.Duration
		for n := range timesWarm + timesAsked {
			for i, read := range []func(int) error{inSmall, inBig[name]} {
				began := time.Now()
				if err := read(n); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if n >= timesWarm {
					took[i] = append(took[i], time.Since(began))
				}
			}
		}
		for i, out := range []map[string]time.Duration{few, many} {
			slices.Sort(took[i])
			out[name] = took[i][len(took[i])*95/100]
		}
		small.ledger.take()
		big.ledger.take()
	}
	return few, many
}

// With a hundred times the history nothing takes five times as long.
func TestReadingDoesNotGrowWithHistory(t *testing.T) {
	small := grow(t, 50_000)
	big := grow(t, 5_000_000)
	big.plans(t)
	few, many := p95(t, small, big)
	names := make([]string, 0, len(few))
	for name := range few {
		names = append(names, name)
	}
	ratio := func(name string) float64 { return float64(many[name]) / float64(max(few[name], slack)) }
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(ratio(b), ratio(a)) })
	for _, name := range names {
		t.Logf("%-30s p95 %10s at 50,000, %10s at 5,000,000: %.2f times", name, few[name].Round(10*time.Microsecond), many[name].Round(10*time.Microsecond), ratio(name))
		if r := ratio(name); r > 5 {
			t.Errorf("%s takes %.1f times as long with a hundred times the history", name, r)
		}
	}
	// A webhook with more attempts than charts read says from when on it counts.
	q, _ := store.ChartOf("sub_00000", "7d", big.now)
	c, err := big.db.Charts(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if codes := fmt.Sprint(c.Codes); !c.CodesFrom.After(c.From) || c.Total.Delivered+c.Total.Failed < 120_000 || !c.BucketsFrom.Equal(c.From) {
		t.Errorf("of %d attempts codes are counted from %s: %s", c.Total.Delivered+c.Total.Failed, c.CodesFrom, codes)
	}
}
