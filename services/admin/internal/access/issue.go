package access

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// TokenInput is the token that somebody asks for.
type TokenInput struct {
	Name   string
	Scopes []string
	// ExpiresAt is zero for never.
	ExpiresAt time.Time
}

// Issue makes an API token, enters that into the audit log, and answers the
// token's text, which is kept nowhere.
func Issue(ctx context.Context, db *store.DB, in TokenInput, by store.Actor) (text string, t store.Token, err error) {
	in.Name = strings.TrimSpace(in.Name)
	var fields []problem.Field
	switch n := len([]rune(in.Name)); {
	case n == 0:
		fields = append(fields, problem.Field{Pointer: "/name", Code: problem.CodeInvalid, Message: "Say who or what uses it: the audit log names it by this."})
	case n > 100:
		fields = append(fields, problem.Field{Pointer: "/name", Code: problem.CodeInvalid, Message: "At most 100 characters."})
	}
	if len(in.Scopes) == 0 {
		fields = append(fields, problem.Field{Pointer: "/scopes", Code: problem.CodeInvalid, Message: "Choose what it may do."})
	}
	for i, s := range in.Scopes {
		if !slices.Contains(Scopes, s) {
			fields = append(fields, problem.Field{Pointer: "/scopes/" + strconv.Itoa(i), Code: problem.CodeInvalid, Message: "A scope is one of " + strings.Join(Scopes, ", ") + "."})
		}
	}
	if !in.ExpiresAt.IsZero() && in.ExpiresAt.Before(time.Now()) {
		fields = append(fields, problem.Field{Pointer: "/expires_at", Code: problem.CodeInvalid, Message: "This is in the past."})
	}
	if len(fields) > 0 {
		return "", store.Token{}, problem.Invalid(fields...)
	}
	text, t = NewToken(in.Name, in.Scopes, by.Name, in.ExpiresAt)
	if err := db.CreateToken(ctx, t); errors.Is(err, store.ErrExists) {
		const taken = "There is a token of this name already."
		return "", store.Token{}, problem.New(http.StatusConflict, problem.CodeConflict, taken, problem.Field{Pointer: "/name", Code: problem.CodeConflict, Message: taken})
	} else if err != nil {
		return "", store.Token{}, err
	}
	return text, t, entry(ctx, db, "token.created", t.ID, by)
}

// Revoke ends a token at once, and enters that into the audit log.
func Revoke(ctx context.Context, db *store.DB, id string, by store.Actor) error {
	if err := db.RevokeToken(ctx, id); err != nil {
		return err
	}
	return entry(ctx, db, "token.revoked", id, by)
}

func entry(ctx context.Context, db *store.DB, action, object string, by store.Actor) error {
	return db.AddAudit(ctx, store.AuditEntry{Actor: by.Name, Kind: by.Kind, Address: by.Address, Action: action, Object: object})
}
