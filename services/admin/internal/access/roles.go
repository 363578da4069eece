package access

import "github.com/aftercall/aftercall/pkg/store"

// Roles of users, each a set of scopes.
const (
	Viewer   = "viewer"
	Operator = "operator"
	// Administrator may do everything.
	Administrator = store.RoleAdmin
)

// Roles lists them, from the least on.
var Roles = []string{Viewer, Operator, Administrator}

// ScopesOf are the scopes of a role; a role that is none has none. An operator
// mends what did not arrive, and changes neither where data goes nor with which
// secret: that is write, which only administrators have.
func ScopesOf(role string) []string {
	switch role {
	case Viewer:
		return []string{Read}
	case Operator:
		return []string{Read, Resend, Replay}
	case Administrator:
		return Scopes
	}
	return nil
}
