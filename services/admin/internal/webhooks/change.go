package webhooks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
)

// Types are the event types that a webhook can ask for, in the order of pages.
var Types = topic.Types

// Saved is what came of a change.
type Saved struct {
	Subscription *subscription.Subscription
	// Secret is the signing secret that was made, "" when it was brought;
	// AbpSecret is that of the abp format.
	Secret, AbpSecret string
	// Published is false while Kafka has not acknowledged it.
	Published bool
	// SwitchedOn says that the change made it active.
	SwitchedOn bool
}

var idPattern = regexp.MustCompile(`^sub_[0-9a-z]{20,40}$`)

// Create adds a webhook. id is "" or one from NewID: a form that is sent twice
// then makes one webhook, and a problem of code conflict.
func (s *Service) Create(ctx context.Context, id string, in Input, by store.Actor) (*Saved, error) {
	if id == "" {
		id = NewID()
	}
	if !idPattern.MatchString(id) {
		return nil, problem.New(http.StatusBadRequest, problem.CodeInvalid, "The id is not one of ours.")
	}
	now := s.now()
	next := &subscription.Subscription{ID: id, Version: 1, Tenant: subscription.DefaultTenant, CreatedAt: now, UpdatedAt: now}
	signing := strings.TrimSpace(in.SigningSecret)
	brought := signing != ""
	if !brought {
		signing = webhook.NewSecret(s.random())
	}
	saved := &Saved{Subscription: next}
	if err := s.apply(ctx, nil, saved, in, checkSecrets(signing, in.AbpSecret)); err != nil {
		return nil, err
	}
	sealed, err := s.Sealer.Seal(id, secret.FieldSecret, []byte(signing))
	if err != nil {
		return nil, err
	}
	next.SealedSecret = sealed
	if err := s.Store.CreateSubscription(ctx, next, by); err != nil {
		if errors.Is(err, store.ErrExists) {
			return nil, problem.New(http.StatusConflict, problem.CodeConflict, "This webhook was added already.")
		}
		return nil, err
	}
	saved.Published = s.publish(ctx, id)
	if !brought {
		saved.Secret = signing
	}
	return saved, nil
}

// Change replaces what a webhook is. version is the one that the change was
// based on.
func (s *Service) Change(ctx context.Context, id string, version int64, in Input, by store.Actor) (*Saved, error) {
	current, err := s.live(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, current, version, in, by)
}

// Patch changes what the JSON merge patch names. version 0 stands for whatever
// is current.
func (s *Service) Patch(ctx context.Context, id string, version int64, patch []byte, by store.Actor) (*Saved, error) {
	current, err := s.live(ctx, id)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		version = current.Version
	}
	if version != current.Version {
		return nil, store.ErrVersion
	}
	in, err := Merge(current, patch)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, current, version, in, by)
}

func (s *Service) change(ctx context.Context, current *subscription.Subscription, version int64, in Input, by store.Actor) (*Saved, error) {
	if version == 0 {
		version = current.Version
	}
	if version != current.Version {
		return nil, store.ErrVersion
	}
	next := *current
	next.Version = current.Version + 1
	next.UpdatedAt = s.now()
	var fields []problem.Field
	if in.SigningSecret != "" {
		fields = append(fields, useRotation)
	}
	saved := &Saved{Subscription: &next}
	if err := s.apply(ctx, current, saved, in, append(fields, checkSecrets("", in.AbpSecret)...)); err != nil {
		return nil, err
	}
	if next.Active {
		next.DisabledReason = ""
	}
	saved.SwitchedOn = next.Active && !current.Active
	if err := s.Store.UpdateSubscription(ctx, &next, version, by); err != nil {
		return nil, err
	}
	saved.Published = s.publish(ctx, next.ID)
	return saved, nil
}

// useRotation refuses a signing secret in a change: replaced in place, the old
// one would stop verifying at once.
var useRotation = problem.Field{Pointer: "/signing_secret", Code: problem.CodeInvalid,
	Message: "A signing secret is replaced by rotate-secret, so that the old one signs for 24 hours more."}

// checkSecrets says what is wrong with secrets that were brought.
func checkSecrets(signing, abp string) []problem.Field {
	var fields []problem.Field
	for _, f := range subscription.CheckSecrets(signing, strings.TrimSpace(abp)) {
		fields = append(fields, problem.Field{Pointer: f.Pointer, Code: f.Code, Message: f.Message})
	}
	return fields
}

// Delete ends a webhook. Its history stays. version 0 stands for whatever is
// current.
func (s *Service) Delete(ctx context.Context, id string, version int64, by store.Actor) (published bool, err error) {
	current, err := s.live(ctx, id)
	if err != nil {
		return false, err
	}
	if version != 0 && version != current.Version {
		return false, store.ErrVersion
	}
	if _, err := s.Store.DeleteSubscription(ctx, id, version, by); err != nil {
		return false, err
	}
	return s.publish(ctx, id), nil
}

// publish says whether Kafka has the change. The change is saved in any case:
// the publisher repeats what Kafka does not take now.
func (s *Service) publish(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience())
	defer cancel()
	if err := s.Publisher.Publish(ctx, id); err != nil {
		s.Logger.Warn("subscription.unpublished", zap.String("subscription", id), zap.Error(err))
		return false
	}
	return true
}

// apply writes in over what is to be saved, checks it, and seals what is secret. current is
// what it was, nil for a new one. fields are faults already known.
func (s *Service) apply(ctx context.Context, current *subscription.Subscription, saved *Saved, in Input, fields []problem.Field) error {
	next := saved.Subscription
	fault := func(pointer, code, message string) {
		fields = append(fields, problem.Field{Pointer: pointer, Code: code, Message: message})
	}
	next.Name = strings.TrimSpace(in.Name)
	next.Endpoint = strings.TrimSpace(in.Endpoint)
	next.Active = in.Active == nil || *in.Active
	next.Events = in.Events
	next.Format = in.Format
	next.OUScope = strings.TrimSpace(in.OUScope)
	next.Filter = strings.TrimSpace(in.Filter)
	next.RateLimit = in.RateLimit
	next.MaxConcurrency = in.MaxConcurrency
	next.Schedule = in.Schedule
	next.Description = in.Description
	timeout, bad := parseTimeout(strings.TrimSpace(in.Timeout))
	if bad != nil {
		fields = append(fields, *bad)
	}
	next.Timeout = timeout
	next.Headers = mergeHeaders(current, in.Headers, fault)
	next.SetDefaults()
	abp := strings.TrimSpace(in.AbpSecret)
	if abp != "" && next.Format != subscription.FormatAbp {
		fault("/abp_secret", problem.CodeInvalid, "This secret goes with the payload format abp.")
	}

	for _, f := range subscription.Validate(next, s.Rules) {
		if !slices.ContainsFunc(fields, func(have problem.Field) bool { return have.Pointer == f.Pointer }) {
			fault(f.Pointer, f.Code, f.Message)
		}
	}
	if u, err := webhook.CheckURL(next.Endpoint, s.Rules); err == nil {
		if next.Name == "" {
			next.Name = defaultName(u)
		}
		// An endpoint that was there before may be unreachable for the moment:
		// this must not stand in the way of switching it off.
		if current == nil || current.Endpoint != next.Endpoint {
			if f := s.checkHost(ctx, u); f != nil {
				fields = append(fields, *f)
			}
		}
	}
	if len(fields) > 0 {
		return problem.Invalid(fields...)
	}
	for i := range next.Headers {
		h := &next.Headers[i]
		if !h.Secret || len(h.Sealed) > 0 {
			continue
		}
		sealed, err := s.Sealer.Seal(next.ID, secret.HeaderField(h.Name), []byte(h.Value))
		if err != nil {
			return err
		}
		h.Sealed, h.Value = sealed, ""
	}
	return s.applyAbp(saved, abp)
}

// applyAbp seals the secret of the abp format: the one that was brought, or a new
// one where there is none yet.
func (s *Service) applyAbp(saved *Saved, brought string) error {
	next := saved.Subscription
	if next.Format != subscription.FormatAbp || brought == "" && len(next.SealedAbpSecret) > 0 {
		return nil
	}
	text := brought
	if text == "" {
		text = webhook.NewAbpSecret(s.random())
		saved.AbpSecret = text
	}
	sealed, err := s.Sealer.Seal(next.ID, secret.FieldAbpSecret, []byte(text))
	if err != nil {
		return err
	}
	next.SealedAbpSecret = sealed
	return nil
}

// mergeHeaders reads the Additional Webhook Headers: values still to be sealed
// are plain in them, kept ones are sealed.
func mergeHeaders(current *subscription.Subscription, in []InputHeader, fault func(pointer, code, message string)) []subscription.Header {
	stored := map[string]subscription.Header{}
	if current != nil {
		for _, h := range current.Headers {
			stored[strings.ToLower(h.Name)] = h
		}
	}
	var out []subscription.Header
	for i, h := range in {
		next := subscription.Header{Name: h.Name, Value: h.Value, Secret: h.Secret == nil || *h.Secret}
		have, there := stored[strings.ToLower(h.Name)]
		pointer := "/headers/" + strconv.Itoa(i) + "/value"
		switch {
		case h.Value != Unchanged:
		case !there && next.Secret:
			fault(pointer, problem.CodeInvalid, "There is no stored value of this header to keep: write it.")
		case there && have.Secret && !next.Secret:
			fault(pointer, problem.CodeInvalid, "A secret value cannot be made visible: write it again.")
		case there && have.Secret:
			next.Value, next.Sealed = "", have.Sealed
		case there:
			next.Value = have.Value
		}
		out = append(out, next)
	}
	return out
}

// checkHost resolves the endpoint's host and checks its addresses.
func (s *Service) checkHost(ctx context.Context, u *url.URL) *problem.Field {
	err := s.Hosts.CheckHost(ctx, u.Hostname(), portOf(u))
	var lookup *net.DNSError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, safedial.ErrDenied):
		return &problem.Field{Pointer: "/endpoint", Code: "address_denied", Message: sentence(err.Error())}
	case errors.As(err, &lookup) && !isTimeout(lookup):
		return &problem.Field{Pointer: "/endpoint", Code: "host_unknown",
			Message: "There is no host of the name " + u.Hostname() + ". Is it spelled right?"}
	}
	// A name server that is away is no reason to refuse an endpoint.
	s.Logger.Info("endpoint.unresolved", zap.Error(errors.Unwrap(err)))
	return nil
}

func portOf(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

func defaultName(u *url.URL) string {
	name := u.Host + strings.TrimSuffix(u.Path, "/")
	if r := []rune(name); len(r) > subscription.MaxName {
		name = string(r[:subscription.MaxName])
	}
	return strings.ToValidUTF8(name, "")
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?0123456789*") {
		s += "."
	}
	return s
}
