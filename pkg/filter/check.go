package filter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// arithmetic are the operators that CEL has for numbers of the same kind only.
var arithmetic = []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo}

// comparisons, equality included.
var comparisons = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
}

// check refuses what CEL's types allow, and what can never do what was meant.
func check(text string, tree *celast.AST) error {
	if !tree.GetType(tree.Expr().ID()).IsExactType(types.BoolType) {
		return at(text, tree, tree.Expr().ID(),
			"The filter has to give true or false: compare with something, as in cdr.QueueName == \"Sales\" or cdr.IsDirectCall == true.")
	}
	var wrong error
	celast.PreOrderVisit(tree.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if wrong == nil && e.Kind() == celast.CallKind {
			wrong = checkCall(text, tree, e.AsCall())
		}
	}))
	return wrong
}

func checkCall(text string, tree *celast.AST, call celast.CallExpr) error {
	name, args := call.FunctionName(), call.Args()
	switch {
	case slices.Contains(arithmetic, name) && len(args) == 2:
		for i, arg := range args {
			other := tree.GetType(args[1-i].ID())
			if t := tree.GetType(arg.ID()); other.Kind() == types.DynKind && (t.Kind() == types.IntKind || t.Kind() == types.UintKind) {
				return at(text, tree, arg.ID(), "Numbers of the record are decimals, and are computed with decimals only: write "+decimal(arg)+".")
			}
		}
	case slices.Contains(comparisons, name) && len(args) == 2:
		for i, arg := range args {
			field, literal := fieldOf(args[1-i]), textOf(arg)
			if field == "" || literal == "" {
				continue
			}
			if _, is := numberIn(literal); is && isNumberField(field) {
				return at(text, tree, arg.ID(), fmt.Sprintf("cdr.%s is a number, also where the record has it as a text: write %s without quotes.", field, literal))
			}
			if b, is := flagIn(literal); is && isFlagField(field) {
				return at(text, tree, arg.ID(), fmt.Sprintf("cdr.%s is true or false, also where the record has it as a text: write %t without quotes.", field, b))
			}
		}
	case name == overloads.Matches && len(args) > 0:
		pattern := args[len(args)-1]
		if pattern.Kind() != celast.LiteralKind {
			return at(text, tree, pattern.ID(), "The pattern of matches() has to stand in the filter itself, in quotes.")
		}
		literal, _ := pattern.AsLiteral().Value().(string)
		var wrong *syntax.Error
		if _, err := regexp.Compile(literal); errors.As(err, &wrong) {
			return at(text, tree, pattern.ID(), fmt.Sprintf("The pattern of matches() is no regular expression: %s.", wrong.Code))
		}
	}
	return nil
}

func decimal(e celast.Expr) string {
	if e.Kind() == celast.LiteralKind {
		if n, ok := e.AsLiteral().Value().(int64); ok {
			return strconv.FormatInt(n, 10) + ".0"
		}
	}
	return "double(…) around this"
}

// fieldOf is X of cdr.X and of cdr["X"], else "".
func fieldOf(e celast.Expr) string {
	switch e.Kind() {
	case celast.SelectKind:
		if s := e.AsSelect(); isCDR(s.Operand()) {
			return s.FieldName()
		}
	case celast.CallKind:
		if c := e.AsCall(); c.FunctionName() == operators.Index && len(c.Args()) == 2 && isCDR(c.Args()[0]) {
			return textOf(c.Args()[1])
		}
	}
	return ""
}

func isCDR(e celast.Expr) bool { return e.Kind() == celast.IdentKind && e.AsIdent() == nameCDR }

func textOf(e celast.Expr) string {
	if e.Kind() != celast.LiteralKind {
		return ""
	}
	s, _ := e.AsLiteral().Value().(string)
	return strings.TrimSpace(s)
}

func at(text string, tree *celast.AST, id int64, message string) *Error {
	e := &Error{Text: text, Message: message, Line: 1, Column: 1}
	if where := tree.SourceInfo().GetStartLocation(id); where.Line() > 0 {
		e.Line, e.Column = where.Line(), where.Column()+1
	}
	return e
}
