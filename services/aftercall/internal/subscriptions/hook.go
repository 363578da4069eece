package subscriptions

import (
	"slices"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// unchanged stands where the API would show a secret value, and keeps it.
const unchanged = "[unchanged]"

// hook is a subscription in a file. Its JSON is what the API takes.
type hook struct {
	Name              string   `yaml:"name" json:"name"`
	Description       string   `yaml:"description,omitempty" json:"description,omitempty"`
	Endpoint          string   `yaml:"endpoint" json:"endpoint"`
	Active            *bool    `yaml:"active,omitempty" json:"active,omitempty"`
	Events            []string `yaml:"events,flow" json:"events"`
	OUScope           string   `yaml:"ou_scope,omitempty" json:"ou_scope,omitempty"`
	Filter            string   `yaml:"filter,omitempty" json:"filter,omitempty"`
	Format            string   `yaml:"format,omitempty" json:"format,omitempty"`
	Timeout           string   `yaml:"timeout,omitempty" json:"timeout,omitempty"`
	MaxConcurrency    int      `yaml:"max_concurrency,omitempty" json:"max_concurrency,omitempty"`
	RateLimit         float64  `yaml:"rate_limit,omitempty" json:"rate_limit,omitempty"`
	Schedule          string   `yaml:"schedule,omitempty" json:"schedule,omitempty"`
	Headers           []header `yaml:"headers,omitempty" json:"headers,omitempty"`
	SigningSecretFile string   `yaml:"signing_secret_file,omitempty" json:"-"`
	SigningSecretEnv  string   `yaml:"signing_secret_env,omitempty" json:"-"`
	AbpSecretFile     string   `yaml:"abp_secret_file,omitempty" json:"-"`
	AbpSecretEnv      string   `yaml:"abp_secret_env,omitempty" json:"-"`

	// What the references lead to.
	SigningSecret string `yaml:"-" json:"signing_secret,omitempty"`
	AbpSecret     string `yaml:"-" json:"abp_secret,omitempty"`
}

type header struct {
	Name      string `yaml:"name" json:"name"`
	Value     string `yaml:"value,omitempty" json:"value,omitempty"`
	Secret    *bool  `yaml:"secret,omitempty" json:"secret,omitempty"`
	ValueFile string `yaml:"value_file,omitempty" json:"-"`
	ValueEnv  string `yaml:"value_env,omitempty" json:"-"`
}

func (h header) secret() bool     { return h.Secret == nil || *h.Secret }
func (h header) referenced() bool { return h.ValueFile != "" || h.ValueEnv != "" }

// existing is a subscription as the API answers it.
type existing struct {
	hook
	ID             string    `json:"id"`
	Version        int64     `json:"version"`
	DisabledReason string    `json:"disabled_reason"`
	PausedUntil    time.Time `json:"paused_until"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// exported is what of a subscription belongs in a file: no secret, and no default
// that says nothing.
func (e *existing) exported() hook {
	h := e.hook
	h.Headers = slices.Clone(h.Headers)
	for i := range h.Headers {
		if h.Headers[i].secret() {
			h.Headers[i].Value = ""
		}
	}
	return h
}

// lenient are the rules for URLs where the deployment's own are not known: those
// it applies itself.
var lenient = webhook.URLRules{AllowHTTP: true, AllowHTTPLoopback: true, AllowAnyPort: true, AllowAnyLoopbackPort: true}

// normal is the subscription that the API would make of h, and what is wrong with
// it wherever it runs.
func (h hook) normal() (*subscription.Subscription, []subscription.FieldError) {
	s := &subscription.Subscription{
		Name: strings.TrimSpace(h.Name), Description: h.Description, Endpoint: strings.TrimSpace(h.Endpoint), Active: h.Active == nil || *h.Active,
		Events: h.Events, OUScope: strings.TrimSpace(h.OUScope), Filter: strings.TrimSpace(h.Filter), Format: h.Format,
		MaxConcurrency: h.MaxConcurrency, RateLimit: h.RateLimit, Schedule: h.Schedule,
	}
	var wrong []subscription.FieldError
	if text := strings.TrimSpace(h.Timeout); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = time.ParseDuration(text + "s")
		}
		if err != nil {
			wrong = append(wrong, subscription.FieldError{Pointer: "/timeout", Code: subscription.CodeInvalidText, Message: "The time-out looks like 15s: 1s to 25s."})
		}
		s.Timeout = d
	}
	for _, one := range h.Headers {
		next := subscription.Header{Name: one.Name, Value: one.Value, Secret: one.secret()}
		if next.Secret && (next.Value == "" || next.Value == unchanged) {
			next.Value, next.Sealed = "", []byte(unchanged)
		}
		s.Headers = append(s.Headers, next)
	}
	s.SetDefaults()
	for _, f := range append(subscription.Validate(s, lenient), subscription.CheckSecrets(h.SigningSecret, h.AbpSecret)...) {
		if !slices.ContainsFunc(wrong, func(w subscription.FieldError) bool { return w.Pointer == f.Pointer }) {
			wrong = append(wrong, f)
		}
	}
	return s, wrong
}
