package cdrclient

import (
	"fmt"
	"strings"
)

// SendError lists the CDRs of one call of Send that did not get through.
type SendError struct {
	Failures []Failure
	// Of is how many CDRs the call had.
	Of int
}

// Failure is one CDR that did not get through.
type Failure struct {
	// Index in the arguments of Send.
	Index     int
	EventType string
	// CallID is empty where it could not be read.
	CallID string
	// Err is an *InvalidError when the CDR would be rejected; else it comes from
	// the broker or the connection, and sending again may help.
	Err error
}

func failure(index int, cdr CDR, callID string, err error) Failure {
	f := Failure{Index: index, CallID: callID, Err: err}
	if cdr != nil {
		f.EventType = cdr.EventType()
	}
	return f
}

func (f Failure) String() string {
	id := ""
	if f.CallID != "" {
		id = fmt.Sprintf(", CallId %q", f.CallID)
	}
	return fmt.Sprintf("CDR %d (%s%s): %v", f.Index, f.EventType, id, f.Err)
}

// shown is how many failures the text of a SendError lists.
const shown = 5

func (e *SendError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cdrclient: %d of %d CDRs not sent", len(e.Failures), e.Of)
	for i, f := range e.Failures {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Failures)-shown)
			break
		}
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + f.String())
	}
	return b.String()
}

// Unwrap gives errors.Is and errors.As each failure's own error.
func (e *SendError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}
