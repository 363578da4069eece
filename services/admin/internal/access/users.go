package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// SetupLifetime is how long a setup link can be used.
const SetupLifetime = 72 * time.Hour

// SetupPath is the path and query of a setup link.
func SetupPath(text string) string { return "/setup?t=" + text }

// Logins are plain, so that no two that look alike are two people.
var loginForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._+@-]{0,99}$`)

func loginOf(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

func loginField(login string) []problem.Field {
	if loginForm.MatchString(login) {
		return nil
	}
	return []problem.Field{{Pointer: "/login", Code: problem.CodeInvalid, Message: "A name or an e-mail address: up to 100 of the letters a to z, digits and . _ - + @, a letter or digit first."}}
}

func roleField(role string) []problem.Field {
	if slices.Contains(Roles, role) {
		return nil
	}
	return []problem.Field{{Pointer: "/role", Code: problem.CodeInvalid, Message: "A role is one of " + strings.Join(Roles, ", ") + "."}}
}

// UserInput is the user that somebody adds.
type UserInput struct{ Login, Role string }

func newUser(login, role, by string) store.User {
	return store.User{ID: "usr_" + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", ""), Login: login, Role: role, CreatedBy: by, CreatedAt: time.Now().UTC()}
}

// AddUser adds a user, who has no password yet, and answers the text of their
// setup link, which is kept nowhere.
func AddUser(ctx context.Context, db *store.DB, in UserInput, by store.Actor) (link string, u store.User, err error) {
	in.Login = loginOf(in.Login)
	if fields := slices.Concat(loginField(in.Login), roleField(in.Role)); len(fields) > 0 {
		return "", store.User{}, problem.Invalid(fields...)
	}
	link = NewText()
	u = newUser(in.Login, in.Role, by.Name)
	u.Version, u.SetupExpiresAt = 1, u.CreatedAt.Add(SetupLifetime)
	if err := db.CreateUser(ctx, u, Hash(link), by); errors.Is(err, store.ErrExists) {
		const taken = "There is a user of this name already."
		return "", store.User{}, problem.New(http.StatusConflict, problem.CodeConflict, taken, problem.Field{Pointer: "/login", Code: problem.CodeConflict, Message: taken})
	} else if err != nil {
		return "", store.User{}, err
	}
	return link, u, nil
}

// ChangeUser changes role or state of a user; both count with their next
// request.
func ChangeUser(ctx context.Context, db *store.DB, id string, version int64, change store.UserChange, by store.Actor) (*store.User, error) {
	if change.Role != nil {
		if fields := roleField(*change.Role); len(fields) > 0 {
			return nil, problem.Invalid(fields...)
		}
	}
	u, err := db.ChangeUser(ctx, id, version, change, by)
	return u, explain(err)
}

// RemoveUser removes a user; their sessions end at once.
func RemoveUser(ctx context.Context, db *store.DB, id string, version int64, by store.Actor) error {
	return explain(db.DeleteUser(ctx, id, version, by))
}

func explain(err error) error {
	if errors.Is(err, store.ErrLastAdmin) {
		return problem.New(http.StatusConflict, problem.CodeConflict,
			"This is the last administrator who can sign in: nobody would be left who can add users or webhooks. Make somebody else administrator first; that counts once they have set their password.")
	}
	return err
}

// NewSetupLink gives a user a link with which to set a password, once. The
// present password is good until then; links from before are not.
func NewSetupLink(ctx context.Context, db *store.DB, id string, by store.Actor) (link string, u *store.User, err error) {
	if u, err = db.User(ctx, id); err != nil {
		return "", nil, err
	}
	const disabled = "This user is disabled. Enable them first."
	if u.Disabled {
		return "", nil, problem.New(http.StatusConflict, problem.CodeConflict, disabled)
	}
	link = NewText()
	u.SetupExpiresAt = time.Now().UTC().Add(SetupLifetime)
	if err := db.SetSetupLink(ctx, id, Hash(link), u.SetupExpiresAt, by); err != nil {
		return "", nil, err
	}
	return link, u, nil
}

// system is who acts when nobody has signed in yet.
var system = store.Actor{Name: "setup", Kind: "setup"}

// FirstUser makes the user admin with a password, unless there is any user.
func FirstUser(ctx context.Context, db *store.DB, password string) error {
	if there, err := db.AnyUser(ctx); err != nil || there {
		return err
	}
	const login = "admin"
	if fields := passwordField(login, password); len(fields) > 0 {
		return errors.New(fields[0].Message)
	}
	u := newUser(login, Administrator, system.Name)
	u.PasswordHash = hashPassword(password)
	if err := db.CreateFirstUser(ctx, u, nil, system); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

// NewFirstLink makes the text of a link with which the first user is made, or
// "" when there is a user already.
func NewFirstLink(ctx context.Context, db *store.DB) (link string, err error) {
	if there, err := db.AnyUser(ctx); err != nil || there {
		return "", err
	}
	link = NewText()
	if err := db.CreateFirstLink(ctx, Hash(link), time.Now().UTC().Add(SetupLifetime)); err != nil {
		return "", fmt.Errorf("keeping the setup link: %w", err)
	}
	return link, nil
}
