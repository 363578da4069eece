package simulate

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Variants of calls, by the name that a mix calls them.
const (
	Answered    = "answered"
	Transferred = "transferred"
	Missed      = "missed"
	Abandoned   = "abandoned"
	Overflow    = "overflow"
	Callback    = "callback"
	Voicemail   = "voicemail"
	SelfService = "self-service"
	Direct      = "direct"
)

// Mix says how often which variant comes, in shares of their sum.
type Mix map[string]float64

// DefaultMix is an ordinary day.
func DefaultMix() Mix {
	return Mix{Answered: 54, Transferred: 12, Missed: 8, Abandoned: 10, Overflow: 5, Callback: 3, Voicemail: 2, SelfService: 4, Direct: 2}
}

// Variants are the names, in their order.
func Variants() []string { return slices.Sorted(maps.Keys(variants)) }

// ParseMix reads "answered=70,abandoned=30". What it does not name does not come; a
// name alone has one share.
func ParseMix(text string) (Mix, error) {
	mix := Mix{}
	for _, part := range strings.Split(text, ",") {
		name, share, given := strings.Cut(strings.TrimSpace(part), "=")
		if variants[name] == nil {
			return nil, fmt.Errorf("there is no variant %q: there are %s", name, strings.Join(Variants(), ", "))
		}
		if _, twice := mix[name]; twice {
			return nil, fmt.Errorf("the variant %s stands twice", name)
		}
		mix[name] = 1
		if given {
			n, err := strconv.ParseFloat(strings.TrimSuffix(share, "%"), 64)
			if err != nil || math.IsNaN(n) || n < 0 || n > 1e6 {
				return nil, fmt.Errorf("the share of %s is no number from 0 to 1000000", name)
			}
			mix[name] = n
		}
	}
	if mix.sum() == 0 {
		return nil, errors.New("all shares are 0")
	}
	return mix, nil
}

func (m Mix) sum() (sum float64) {
	for _, name := range Variants() {
		sum += m[name]
	}
	return sum
}

// pick draws a variant.
func (m Mix) pick(r *rand.Rand) string {
	at := r.Float64() * m.sum()
	last := Answered
	for _, name := range Variants() {
		if m[name] <= 0 {
			continue
		}
		last = name
		if at -= m[name]; at < 0 {
			break
		}
	}
	return last
}
