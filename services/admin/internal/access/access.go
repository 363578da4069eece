// Package access is who may do what: bearer tokens of the API, users with their
// passwords and roles, one-time links and sessions of the console.
//
// What it guarantees:
//
//   - Of tokens, links and sessions only SHA-256 is stored, of passwords only
//     argon2id with its salt and work: a copy of the database opens nothing.
//   - What somebody may is looked up with every request: a revoked token, an ended
//     session, a disabled user and a changed role count with the next one.
//   - A name that nobody has is answered as one with a wrong password is: same
//     answer, same work, same slow-down.
//   - A link can be used once.
//   - Whatever is done here is in the audit log, with who did it.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Scopes of tokens and sessions.
const (
	Read   = "read"
	Write  = "write"
	Resend = "resend"
	Replay = "replay"
	Admin  = "admin"
)

// Scopes lists them. Admin includes all others.
var Scopes = []string{Read, Write, Resend, Replay, Admin}

// Lifetimes.
const (
	LinkLifetime    = 12 * time.Hour
	SessionLifetime = 24 * time.Hour
)

// TokenPrefix begins every API token, so that scanners of leaked secrets find it.
const TokenPrefix = "act_"

// Principal is who asks.
type Principal struct {
	Name string
	Kind string // token or session
	// UserID is empty for a token, and for whoever came by a one-time link.
	UserID  string
	Scopes  []string
	Address string
}

// May says whether the scope was given. Every scope implies Read.
func (p *Principal) May(scope string) bool {
	if p == nil || len(p.Scopes) == 0 {
		return false
	}
	return scope == Read && len(p.Scopes) > 0 || slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, Admin)
}

// Actor is the principal as the audit log names it.
func (p *Principal) Actor() store.Actor {
	if p == nil {
		return store.Actor{}
	}
	return store.Actor{Name: p.Name, Kind: p.Kind, Address: p.Address}
}

// Hash is what is stored of a secret text.
func Hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// NewText makes 256 random bits, as text.
func NewText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Tokens of the API.
type Tokens interface {
	TokenByHash(ctx context.Context, hash []byte) (*store.Token, error)
}

// Bearer finds out who sends a request with "Authorization: Bearer …".
func Bearer(ctx context.Context, tokens Tokens, authorization, address string) (*Principal, error) {
	scheme, text, _ := strings.Cut(authorization, " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "bearer") || text == "" {
		return nil, problem.New(http.StatusUnauthorized, problem.CodeUnauthorized, "An API token is needed: Authorization: Bearer act_…")
	}
	t, err := tokens.TokenByHash(ctx, Hash(text))
	if errors.Is(err, store.ErrNotFound) {
		return nil, problem.New(http.StatusUnauthorized, problem.CodeUnauthorized, "This token is unknown, revoked or expired.")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	return &Principal{Name: t.Name, Kind: "token", Scopes: t.Scopes, Address: address}, nil
}

// NewToken makes a token. Its text is not kept anywhere.
func NewToken(name string, scopes []string, by string, expires time.Time) (text string, t store.Token) {
	text = TokenPrefix + NewText()
	return text, token(text, name, scopes, by, expires)
}

func token(text, name string, scopes []string, by string, expires time.Time) store.Token {
	return store.Token{ID: "tok_" + strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", ""), Name: name, Hash: Hash(text), Scopes: scopes,
		CreatedBy: by, CreatedAt: time.Now().UTC(), ExpiresAt: expires}
}

// EnsureToken makes text a token of this name and these scopes; one of the same
// name and another text is revoked.
func EnsureToken(ctx context.Context, db *store.DB, text, name string, scopes []string) error {
	if len(text) < 20 {
		return errors.New("an API token has at least 20 characters")
	}
	_, err := db.TokenByHash(ctx, Hash(text))
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("reading the token: %w", err)
	}
	t := token(text, name, scopes, "setup", time.Time{})
	err = db.CreateToken(ctx, t)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	all, err := db.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("reading tokens: %w", err)
	}
	for _, have := range all {
		if have.Name == name && have.RevokedAt.IsZero() {
			if err := db.RevokeToken(ctx, have.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("revoking the token of the same name: %w", err)
			}
		}
	}
	return db.CreateToken(ctx, t)
}

// NewLoginLink makes the text of a one-time login link: /login?t=<text>.
func NewLoginLink(ctx context.Context, db *store.DB, user string, scopes []string) (string, error) {
	text := NewText()
	now := time.Now().UTC()
	err := db.CreateLoginLink(ctx, store.LoginLink{Hash: Hash(text), User: user, Scopes: scopes, CreatedAt: now, ExpiresAt: now.Add(LinkLifetime)})
	if err != nil {
		return "", fmt.Errorf("keeping the login link: %w", err)
	}
	return text, nil
}

// Login takes a one-time link and opens a session. It answers store.ErrNotFound
// for a link that is unknown, used or expired.
func Login(ctx context.Context, db *store.DB, text, address string) (cookie string, err error) {
	link, err := db.UseLoginLink(ctx, Hash(text))
	if err != nil {
		return "", err
	}
	cookie = NewText()
	now := time.Now().UTC()
	err = db.CreateSession(ctx, store.Session{Hash: Hash(cookie), User: link.User, Scopes: link.Scopes, CreatedAt: now, ExpiresAt: now.Add(SessionLifetime)})
	if err != nil {
		return "", fmt.Errorf("opening a session: %w", err)
	}
	err = db.AddAudit(ctx, store.AuditEntry{Actor: link.User, Kind: "session", Address: address, Action: "session.opened", Detail: map[string]string{"by": "one-time link"}})
	return cookie, err
}

// Session finds out whose session a cookie belongs to, and what they may now.
func Session(ctx context.Context, db *store.DB, cookie, address string) (*Principal, error) {
	s, err := db.SessionByHash(ctx, Hash(cookie))
	if err != nil {
		return nil, err
	}
	p := &Principal{Name: s.User, Kind: "session", UserID: s.UserID, Scopes: s.Scopes, Address: address}
	if s.UserID != "" {
		p.Scopes = ScopesOf(s.Role)
	}
	return p, nil
}
