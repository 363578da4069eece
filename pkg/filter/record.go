package filter

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// NumberFields are the fields of a record that are numbers, whether the producer
// writes them as a number or as a text with a number in it.
var NumberFields = []string{"CallLength", "WaitTime", "TalkTime", "WrapupTime", "AverageSentimentScore"}

// FlagFields are the fields of a record that are true or false, whether the
// producer writes them so or as the texts "True" and "False".
var FlagFields = []string{"MetServiceLevel", "IsDirectCall"}

// The score of each phrase of a transcription is a number too.
const (
	fieldTranscription  = "Transcription"
	fieldSentimentScore = "SentimentScore"
)

func isNumberField(name string) bool { return slices.Contains(NumberFields, name) }
func isFlagField(name string) bool   { return slices.Contains(FlagFields, name) }

// normalize makes numbers and flags of texts that are meant to be such.
func normalize(members map[string]any) {
	for _, name := range NumberFields {
		asNumber(members, name)
	}
	for _, name := range FlagFields {
		if s, ok := members[name].(string); ok {
			if b, ok := flagIn(s); ok {
				members[name] = b
			}
		}
	}
	if phrases, ok := members[fieldTranscription].([]any); ok {
		for _, p := range phrases {
			if phrase, ok := p.(map[string]any); ok {
				asNumber(phrase, fieldSentimentScore)
			}
		}
	}
}

func asNumber(members map[string]any, name string) {
	if s, ok := members[name].(string); ok {
		if n, ok := numberIn(s); ok {
			members[name] = n
		}
	}
}

// numberIn reads a text that is a plain number: digits, a point, an exponent. It
// takes no hexadecimal and no NaN.
func numberIn(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

func flagIn(s string) (is, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// record is a JSON object as filters see it: a member that is missing is null.
type record struct{ traits.Mapper }

func newRecord(members map[string]any) *record {
	return &record{types.NewStringInterfaceMap(adapter{}, members)}
}

// Find is what selects a field.
func (r *record) Find(key ref.Val) (ref.Val, bool) {
	if v, found := r.Mapper.Find(key); found || v != nil {
		return v, found
	}
	return types.NullValue, true
}

// Get is what an index selects.
func (r *record) Get(key ref.Val) ref.Val {
	v, _ := r.Find(key)
	return v
}

// adapter makes CEL's values of decoded JSON.
type adapter struct{}

func (adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case map[string]any:
		return newRecord(v)
	case []any:
		return types.NewDynamicList(adapter{}, v)
	case json.Number:
		// Out of range: infinite, or 0, with the right sign.
		n, _ := strconv.ParseFloat(string(v), 64)
		return types.Double(n)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// costs are what operations cost whose expense CEL's own model does not see.
type costs struct{}

// zone is what looking up a time zone costs.
const zone = 500

// CallCost tells the cost of a call: one, one for each value in what is compared
// and nested, and a tenth for each byte of a text that goes in or comes out. CEL's
// own model prices by the types of arguments, which nothing of a record has.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case overloads.Contains, overloads.StartsWith, overloads.EndsWith, overloads.Matches:
		return nil // texts by their types: CEL's model fits
	case operators.Equals, operators.NotEquals, operators.In:
		for _, arg := range args {
			cost += values(arg, CostLimit)
		}
	default:
		if len(args) == 2 && strings.HasPrefix(function, "get") {
			cost += zone
		}
		for _, arg := range args {
			cost += length(arg)
		}
		cost += length(result)
	}
	return &cost
}

// length is what reading a text costs.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v)) / 10
	case types.Bytes:
		return uint64(len(v)) / 10
	}
	return 0
}

// values counts the values in v, up to a limit.
func values(v ref.Val, limit uint64) uint64 {
	n := 1 + length(v)
	switch v := v.(type) {
	case traits.Mapper:
		for it := v.Iterator(); n < limit && it.HasNext() == types.True; {
			n += 1 + values(v.Get(it.Next()), limit-n)
		}
	case traits.Lister:
		for it := v.Iterator(); n < limit && it.HasNext() == types.True; {
			n += values(it.Next(), limit-n)
		}
	}
	return n
}
