// Package api is the HTTP API under /api/v1, described by the OpenAPI document
// at /api/openapi.json.
//
// What it guarantees:
//
//   - Every route needs a bearer token with the scope that the document names
//     for it. A route can only be added through route, which asks for one.
//   - Every error is a problem (RFC 9457) with a stable code; fields to blame
//     are named by JSON pointer. No error repeats a value that was sent.
//   - A change needs If-Match (428 without, 412 when stale).
//   - Lists are pages by key, newest first: {"items": […], "next_cursor": "…"}.
//   - Bodies are limited in size and in the time they may take to arrive.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// Limits of requests.
const (
	MaxBodyBytes    = 256 << 10
	BodyReadTimeout = 5 * time.Second
)

// Prefix of all routes.
const Prefix = "/api/v1"

// API answers it.
type API struct {
	store    *store.DB
	webhooks *webhooks.Service
	logger   *zap.Logger
	huma     huma.API
	scopes   map[string]string
}

var replaceErrors sync.Once

// New registers all routes on mux.
func New(mux humago.Mux, db *store.DB, service *webhooks.Service, logger *zap.Logger) *API {
	// Huma's own errors repeat the values they refuse, and a refused value may
	// be a secret. Its constructor is a variable of the package.
	replaceErrors.Do(func() { huma.NewError = newError })
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Aftercall", Version: "1",
				Description: "Call-ended records on Kafka become webhooks that arrive. This API administers the webhooks and shows every attempt.\n\n" +
					"Errors are problem+json (RFC 9457) with a stable `code`; fields to blame are named by JSON pointer. Lists are newest first. Times are RFC 3339 in UTC with milliseconds."},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "An API token (act_…). Its scopes are read, write, resend, replay and admin; admin includes all others, and each of them includes read."},
				},
			},
		},
		// A misspelt filter must not select everything.
		RejectUnknownQueryParameters: true,
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
	}
	a := &API{store: db, webhooks: service, logger: logger, huma: humago.New(mux, config), scopes: map[string]string{}}
	a.huma.UseMiddleware(a.authorize)
	a.subscriptions()
	a.care()
	a.history()
	a.stats()
	a.exports()
	a.replays(replaysOf(service))
	a.erasures(erasuresOf(service))
	a.eventTypes()
	a.tokens()
	a.loginLinks()
	a.users()
	a.auditLog()
	a.healthReport()
	a.stream()
	document, err := a.Document()
	if err != nil {
		panic("api: writing the OpenAPI document: " + err.Error())
	}
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})
	return a
}

// jsonFormat is huma's, but for an answer that has no page of its own.
var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	},
	Unmarshal: json.Unmarshal,
}

// Document is the OpenAPI document, as it is served and committed.
func (a *API) Document() ([]byte, error) {
	b, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	b, err = json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

// schemaName is how a type is called in the document: clients' generators make
// types of it.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if better, ok := map[string]string{"Input": "SubscriptionInput", "InputHeader": "SubscriptionInputHeader", "Checked": "EndpointCheck", "Check": "EndpointCheckStep",
		"Test": "TestWebhook", "Resent": "Resend", "Field": "ProblemField", "CreateTokenRequest": "TokenInput", "CreateUserRequest": "UserInput", "ChangeUserRequest": "UserChange"}[name]; ok {
		return better
	}
	return name
}

type principalKey struct{}

// principal is who asks.
func principal(ctx context.Context) *access.Principal {
	p, _ := ctx.Value(principalKey{}).(*access.Principal)
	return p
}

func actor(ctx context.Context) store.Actor { return principal(ctx).Actor() }

// authorize stands before every route.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	p, err := access.Bearer(ctx.Context(), a.store, ctx.Header("Authorization"), host(ctx.RemoteAddr()))
	if err != nil {
		if problem.From(err).Status == http.StatusUnauthorized {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="aftercall"`)
		}
		a.write(ctx, err)
		return
	}
	scope := a.scopes[ctx.Operation().OperationID]
	if scope == "" || !p.May(scope) {
		a.write(ctx, problem.New(http.StatusForbidden, problem.CodeForbidden, "This token lacks the scope "+scope+"."))
		return
	}
	next(huma.WithValue(ctx, principalKey{}, p))
}

// write answers an error outside of a handler.
func (a *API) write(ctx huma.Context, err error) {
	p := problem.From(err)
	a.log(err, p, ctx.Operation().OperationID)
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
}

func (a *API) log(err error, p *problem.Problem, operation string) {
	if p.Status == http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		a.logger.Error("request.failed", zap.String("operation", operation), zap.Error(err))
	}
}

// route adds one operation. It is the only way to add one: without a scope there
// is no route.
func route[I, O any](a *API, scope string, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	if !slices.Contains(access.Scopes, scope) {
		panic("api: " + op.OperationID + " has no scope")
	}
	a.scopes[op.OperationID] = scope
	op.Path = Prefix + op.Path
	op.Security = []map[string][]string{{"bearer": {scope}}}
	op.MaxBodyBytes = MaxBodyBytes
	op.BodyReadTimeout = BodyReadTimeout
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			p := problem.From(err)
			a.log(err, p, op.OperationID)
			return nil, p
		}
		return out, nil
	})
}

// newError takes the place of huma's constructor of errors.
func newError(status int, msg string, errs ...error) huma.StatusError {
	code := problem.CodeInvalid
	switch status {
	case http.StatusRequestEntityTooLarge:
		code, msg = problem.CodeTooLarge, "The body is larger than 256 KiB."
	case http.StatusRequestTimeout:
		code, msg = problem.CodeTimeout, "The body did not arrive in time."
	case http.StatusInternalServerError:
		code, msg = problem.CodeInternal, "Something went wrong on our side. The log has the details."
		errs = nil
	case http.StatusUnsupportedMediaType:
		code, msg = problem.CodeInvalid, "The body has to be JSON: content-type: application/json."
	case http.StatusNotAcceptable:
		msg = "Answers are JSON."
	}
	p := problem.New(status, code, msg)
	for _, err := range errs {
		if err == nil {
			continue
		}
		f := problem.Field{Code: problem.CodeInvalid, Message: "This cannot be read."}
		var detailer huma.ErrorDetailer
		if errors.As(err, &detailer) {
			d := detailer.ErrorDetail()
			f.Pointer, f.Message = pointer(d.Location), d.Message
			if d.Message == "unexpected property" {
				f.Code, f.Message = problem.CodeUnknownField, "There is no such field."
				for name, message := range webhooks.Actions {
					if f.Pointer == "/"+name {
						f.Code, f.Message = problem.CodeInvalid, message
					}
				}
			}
			if strings.HasPrefix(d.Message, "json:") || strings.Contains(d.Message, "invalid character") || strings.Contains(d.Message, "unexpected end") {
				f.Message = "This is not JSON of the expected kind."
			}
		}
		p.Errors = append(p.Errors, f)
	}
	if len(p.Errors) > 0 && status == http.StatusUnprocessableEntity {
		return problem.Invalid(p.Errors...)
	}
	return p
}

// pointer makes a JSON pointer of huma's location: body.headers[0].name is
// /headers/0/name, query.limit is limit.
func pointer(location string) string {
	where, rest, _ := strings.Cut(location, ".")
	if where != "body" {
		return rest
	}
	if rest == "" {
		return ""
	}
	rest = strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(rest)
	return "/" + rest
}

// version reads If-Match. 0 stands for "*".
func version(ifMatch string) (int64, error) {
	ifMatch = strings.TrimSpace(ifMatch)
	switch ifMatch {
	case "":
		return 0, problem.New(http.StatusPreconditionRequired, problem.CodeIfMatchRequired,
			"A change needs If-Match with the ETag that you read, so that nobody's change is lost. If-Match: * changes whatever is there.")
	case "*":
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`), 10, 64)
	if err != nil || n < 1 {
		// An ETag that is none of ours cannot be the current one.
		return 0, store.ErrVersion
	}
	return n, nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func host(remote string) string {
	if i := strings.LastIndexByte(remote, ':'); i > 0 {
		return strings.Trim(remote[:i], "[]")
	}
	return remote
}

// WriteProblem answers outside of the routes.
func WriteProblem(w http.ResponseWriter, p *problem.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
