package filter

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

const (
	// MaxText is the longest expression, in bytes.
	MaxText = 4 << 10
	// CostLimit is what one evaluation may cost, in CEL's units: about one for each
	// operation, and a tenth for each byte of text that is read. A usual filter
	// costs less than 50; looking for a word in each phrase of a long transcription
	// some ten thousand. At worst it is reached after some tens of milliseconds.
	CostLimit = 100_000
	// maxRegex bounds the program of a regular expression.
	maxRegex = 2_000
	// maxNesting bounds macros within macros: exists in all in map.
	maxNesting = 2
)

// Filter is a compiled expression. It is safe for concurrent use.
type Filter struct {
	text    string
	program cel.Program
	source  *celast.SourceInfo
}

// Text is the expression that was compiled.
func (f *Filter) Text() string { return f.text }

// environment is what expressions are compiled in. Making it takes milliseconds.
var environment = sync.OnceValue(func() *cel.Env {
	options := []cel.EnvOption{
		cel.ClearMacros(),
		cel.Macros(hasMacro, cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro, cel.MapMacro, cel.MapFilterMacro),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxText),
		cel.ParserRecursionLimit(100),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateRegexProgramSizeLimit(maxRegex), cel.ValidateComprehensionNestingLimit(maxNesting),
		),
		cel.Variable(nameCDR, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(nameOccurredAt, cel.TimestampType),
	}
	for _, name := range envelopeTexts {
		options = append(options, cel.Variable(nameEvent+"."+name, cel.StringType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic(fmt.Sprintf("filter: making the environment: %v", err))
	}
	return env
})

// Compile compiles an expression. A non-nil error is an *Error that points into it.
func Compile(text string) (*Filter, error) {
	switch {
	case !utf8.ValidString(text):
		return nil, &Error{Line: 1, Column: 1, Message: "The filter is not valid UTF-8."}
	case len(text) > MaxText:
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("The filter has %d bytes; %d are allowed.", len(text), MaxText)}
	case strings.TrimSpace(text) == "":
		return nil, &Error{Line: 1, Column: 1, Message: "The filter is empty."}
	}
	checked, issues := environment().Compile(text)
	if issues.Err() != nil {
		return nil, fromIssues(text, issues)
	}
	tree := checked.NativeRep()
	if err := check(text, tree); err != nil {
		return nil, err
	}
	program, err := environment().Program(checked,
		cel.EvalOptions(cel.OptOptimize), cel.CostTracking(costs{}), cel.CostLimit(CostLimit))
	if err != nil {
		return nil, &Error{Text: text, Line: 1, Column: 1, Message: "The filter cannot be prepared: " + clean(err.Error())}
	}
	return &Filter{text: text, program: program, source: tree.SourceInfo()}, nil
}

// Match evaluates the filter. A non-nil error is an *Error that says what could
// not be evaluated, without any value of the record; the answer is false then.
func (f *Filter) Match(in *Input) (bool, error) {
	result, _, err := f.program.Eval(in)
	if in.broken {
		return false, &Error{Text: f.text, Message: "The record is nested too deeply for filters."}
	}
	if err != nil {
		return false, f.fault(err)
	}
	is, ok := result.(types.Bool)
	if !ok {
		return false, &Error{Text: f.text, Line: 1, Column: 1, Message: "The filter gave neither true nor false."}
	}
	return bool(is), nil
}

// fault says what went wrong in an evaluation. CEL's own texts may quote values,
// such as a number that is none: only those that cannot are passed on.
func (f *Filter) fault(err error) *Error {
	out := &Error{Text: f.text, Message: "A conversion or a function failed."}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		out.Message = fmt.Sprintf("It was stopped: it costs more than %d on this record.", CostLimit)
		return out
	}
	var at *types.Err
	if errors.As(err, &at) && at.NodeID() != 0 {
		if where := f.source.GetStartLocation(at.NodeID()); where.Line() > 0 {
			out.Line, out.Column = where.Line(), where.Column()+1
		}
	}
	switch s := err.Error(); {
	case strings.Contains(s, "no such overload"), strings.Contains(s, "no such key"), strings.Contains(s, "unexpected type"), strings.Contains(s, "iterable"):
		out.Message = "A field is missing, null or of another type than is needed here; has() guards it."
	case strings.Contains(s, "divi") && strings.Contains(s, "zero"), strings.Contains(s, "modulus by zero"):
		out.Message = "Division by zero."
	case strings.Contains(s, "overflow"), strings.Contains(s, "out of range"):
		out.Message = "A number is out of range."
	case strings.Contains(s, "index out of bounds"), strings.Contains(s, "invalid index"), strings.Contains(s, "index '"):
		out.Message = "A list has no element of this number."
	}
	return out
}

// hasMacro is has(): since a missing field reads as null, it asks for that.
var hasMacro = cel.GlobalMacro("has", 1, func(f cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
	if args[0].Kind() != celast.SelectKind {
		return nil, f.NewError(args[0].ID(), "Write has() around a field, as in has(cdr.TalkTime)")
	}
	if of := args[0].AsSelect().Operand(); of.Kind() == celast.IdentKind && of.AsIdent() == nameEvent {
		return nil, f.NewError(args[0].ID(), `The fields of event are always there: compare with ""`)
	}
	return f.NewCall(operators.NotEquals, args[0], f.NewLiteral(types.NullValue)), nil
})
