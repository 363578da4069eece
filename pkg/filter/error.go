package filter

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	// Text is the expression.
	Text string
	// Message is for people, a sentence.
	Message string
	// Line and Column count from 1, columns in characters; both are 0 when it is
	// about the whole.
	Line, Column int
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// maxPointed is how many characters of a line are shown.
const maxPointed = 72

// Pointed is the line of the expression that the error is about, and below it a
// caret under the place; "" when there is none. Of a long line it is the part
// around the place.
func (e *Error) Pointed() string {
	lines := strings.Split(e.Text, "\n")
	if e.Line < 1 || e.Line > len(lines) || e.Text == "" {
		return ""
	}
	line := []rune(strings.ReplaceAll(strings.TrimSuffix(lines[e.Line-1], "\r"), "\t", " "))
	at := min(max(e.Column-1, 0), len(line))
	from := 0
	if len(line) > maxPointed {
		from = min(max(at-maxPointed/2, 0), len(line)-maxPointed)
	}
	shown := line[from:min(from+maxPointed, len(line))]
	return string(shown) + "\n" + strings.Repeat(" ", at-from) + "^"
}

// fromIssues is the first of what CEL found.
func fromIssues(text string, issues *cel.Issues) *Error {
	e := &Error{Text: text, Line: 1, Column: 1, Message: "The filter is not an expression."}
	if list := issues.Errors(); len(list) > 0 {
		first := list[0]
		e.Message = explain(first.Message)
		if first.Location != nil && first.Location.Line() > 0 {
			e.Line, e.Column = first.Location.Line(), first.Location.Column()+1
		}
	}
	return e
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	overload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)
	mangled    = regexp.MustCompile(`^[@_!-]*?([^_@]+?)_*$`)
)

// explain says in the words of filters what CEL says in its own.
func explain(message string) string {
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if name, _, _ := strings.Cut(m[1], "."); name == nameEvent {
			return "event has no such field. It has " + strings.Join(envelopeTexts, ", ") + " and occurred_at."
		}
		return fmt.Sprintf("%s is not known here. Fields of the record start with cdr., as in cdr.QueueName; texts stand in quotes.", m[1])
	}
	if m := overload.FindStringSubmatch(message); m != nil {
		name := m[1]
		if n := mangled.FindStringSubmatch(name); n != nil {
			name = n[1]
		}
		return fmt.Sprintf("%s does not work with %s.", name, m[2])
	}
	if strings.HasPrefix(message, "Syntax error: token recognition error at: '=") {
		return "A single = compares nothing: write ==."
	}
	message, _, _ = strings.Cut(message, " expecting ")
	return clean(message)
}

// clean makes a sentence of one of CEL's texts.
func clean(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if r := []rune(message); len(r) > 200 {
		message = string(r[:200]) + "…"
	}
	if message == "" {
		return "The filter is not an expression."
	}
	if !strings.HasSuffix(message, ".") && !strings.HasSuffix(message, "…") {
		message += "."
	}
	return strings.ToUpper(message[:1]) + message[1:]
}
