package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/access"
	"github.com/aftercall/aftercall/services/admin/internal/api"
	"github.com/aftercall/aftercall/services/admin/internal/console"
	"github.com/aftercall/aftercall/services/admin/internal/erase"
	"github.com/aftercall/aftercall/services/admin/internal/export"
	"github.com/aftercall/aftercall/services/admin/internal/problem"
	"github.com/aftercall/aftercall/services/admin/internal/publish"
	"github.com/aftercall/aftercall/services/admin/internal/release"
	"github.com/aftercall/aftercall/services/admin/internal/replay"
	"github.com/aftercall/aftercall/services/admin/internal/stream"
	"github.com/aftercall/aftercall/services/admin/internal/watch"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// Config is what a deployment sets.
type Config struct {
	Kafka kafka.Config
	// Listen is the address of API and console; empty listens nowhere (Handler
	// is then mounted elsewhere).
	Listen string `env:"LISTEN" envDefault:"127.0.0.1:8420"`
	// PublicURL is where people reach the console, as behind a proxy with https.
	PublicURL string `env:"PUBLIC_URL"`
	// AdminToken is made valid at start, with all scopes.
	AdminToken string `env:"ADMIN_TOKEN"`
	// AdminPassword makes the user admin with this password, where there is no
	// user yet.
	AdminPassword string `env:"ADMIN_PASSWORD"`
	// OUSeparator stands between the units of an OU path.
	OUSeparator string `env:"OU_SEPARATOR" envDefault:"/"`
	// FirstSteps shows newcomers what to do first.
	FirstSteps bool `env:"-"`
	// SetupInLog logs a one-time link with which the first user is made, while
	// there is none: for a process that prints no login link.
	SetupInLog bool `env:"-"`
}

// Deps are what the service works with. All but Listener and Mount are needed.
type Deps struct {
	Logger   *zap.Logger
	Registry prometheus.Registerer
	Health   *lifecycle.Health
	Store    *store.DB
	Keyset   *secret.Keyset
	Policy   *safedial.Policy
	URLRules webhook.URLRules
	// Patience with Kafka when somebody waits for the answer, 3 s when 0.
	Patience time.Duration
	// Listener is served instead of Config.Listen, when a caller has opened it.
	Listener net.Listener
	// Mount adds handlers by pattern ("GET /metrics"), so that one port serves
	// everything.
	Mount map[string]http.Handler
}

// Server is the service, built and not yet running.
type Server struct {
	config    Config
	deps      Deps
	client    *kgo.Client
	publisher *publish.Publisher
	replays   *replay.Service
	erasures  *erase.Service
	releases  *release.Runner
	lags      *watch.Last
	live      *stream.Hub
	handler   http.Handler
}

// Run serves until ctx ends. It fails at once when Kafka does not answer, or a
// topic is not as it has to be.
func Run(ctx context.Context, c Config, d Deps) error {
	s, err := New(ctx, c, d)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Run(ctx)
}

// New builds the service. Handler answers from then on; Run publishes and
// listens.
func New(ctx context.Context, c Config, d Deps) (*Server, error) {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	if d.Health == nil {
		d.Health = lifecycle.NewHealth()
	}
	if d.Keyset != nil {
		d.Store.SetDigester(d.Keyset)
	}
	d.Health.Register("admin.store")
	d.Health.Register("admin.kafka")
	if c.Kafka.ClientID == "" {
		c.Kafka.ClientID = "aftercall-admin"
	}
	if c.Kafka.Logger == nil {
		c.Kafka.Logger = d.Logger
	}
	var public *url.URL
	if c.PublicURL != "" {
		var err error
		if public, err = url.Parse(c.PublicURL); err != nil || public.Host == "" {
			return nil, errors.New("AFTERCALL_PUBLIC_URL is not a URL: it looks like https://aftercall.example.com")
		}
	}
	if err := kafka.Prepare(ctx, c.Kafka, topic.All()); err != nil {
		return nil, err
	}
	if c.AdminToken != "" {
		if err := EnsureToken(ctx, d.Store, c.AdminToken, "admin", access.Scopes); err != nil {
			return nil, fmt.Errorf("making AFTERCALL_ADMIN_TOKEN valid: %w", err)
		}
	}
	if c.AdminPassword != "" {
		if err := access.FirstUser(ctx, d.Store, c.AdminPassword); err != nil {
			return nil, fmt.Errorf("making the user admin with AFTERCALL_ADMIN_PASSWORD: %w", err)
		}
	}
	client, err := kgo.NewClient(append(c.Kafka.Opts(), c.Kafka.Producer()...)...)
	if err != nil {
		return nil, fmt.Errorf("creating producer client: %w", err)
	}
	s := &Server{config: c, deps: d, client: client, lags: &watch.Last{},
		live: stream.New(stream.Options{Kafka: c.Kafka, Names: d.Store.SubscriptionNames, Erased: d.Store.ErasedNow, Logger: d.Logger, Registry: d.Registry})}
	s.publisher = publish.New(d.Store, client, c.Kafka, d.Logger, d.Registry)
	service := layer(d)
	s.releases = release.New(d.Store, s.publisher, client, c.Kafka, d.Logger)
	service.Releaser, service.Lags, service.Live = s.releases, s.lags, s.live
	s.erasures = erase.New(d.Store, erase.Topics{Client: client, Embedded: c.Kafka.Embedded}, erase.Records{Kafka: c.Kafka, Producer: client}, d.Logger)
	service.Erasures = s.erasures
	s.replays = replay.New(d.Store, client, s.publisher, c.OUSeparator, d.Logger)
	service.Producer, service.Publisher, service.Separator, service.Replays = client, s.publisher, c.OUSeparator, s.replays
	s.handler = s.routes(service, public)
	return s, nil
}

// layer is what API and console share, not yet able to produce.
func layer(d Deps) *webhooks.Service {
	return &webhooks.Service{
		Exports: export.NewTurns(export.AtOnce),
		Store:   d.Store, Sealer: d.Keyset, Hosts: d.Policy, Rules: d.URLRules, Logger: d.Logger, Patience: d.Patience,
		Probe: d.Policy.Transport(safedial.TransportOptions{MaxIdleConnsPerHost: 1, MaxIdleConns: 16, IdleConnTimeout: time.Second}),
	}
}

// Handler serves API and console, and what was mounted.
func (s *Server) Handler() http.Handler { return s.handler }

// Close lets go of Kafka. Run must have returned.
func (s *Server) Close() { s.client.Close() }

// Run publishes subscriptions, watches what the service depends on, and listens,
// until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	parts := map[string]func(context.Context) error{
		"publisher": s.publisher.Run, "replays": s.replays.Run, "erasures": s.erasures.Run, "live": s.live.Run, "health": s.watch, "send waiting": s.releases.Run,
		"reseal": func(ctx context.Context) error {
			return release.Reseal(ctx, s.deps.Store, s.publisher, s.deps.Keyset, s.deps.Logger)
		},
	}
	ln := s.deps.Listener
	if ln == nil && s.config.Listen != "" {
		var err error
		if ln, err = Listen(ctx, s.config.Listen); err != nil {
			return err
		}
	}
	lags, err := watch.New(s.config.Kafka, s.deps.Registry, s.deps.Logger)
	if err != nil {
		return err
	}
	lags.Last = s.lags
	parts["lags"] = lags.Run
	if ln != nil {
		s.deps.Logger.Info("admin.listening", zap.Stringer("address", ln.Addr()))
		if err := s.logSetup(ctx, ln.Addr().String()); err != nil {
			return err
		}
		parts["http"] = func(ctx context.Context) error { return lifecycle.Serve(ctx, s.server(), ln, 5*time.Second) }
	}
	return lifecycle.Run(ctx, parts)
}

// logSetup logs the link with which the first user is made. It is the one secret
// that stands in a log, works once, and opens nothing once there is a user.
func (s *Server) logSetup(ctx context.Context, address string) error {
	if !s.config.SetupInLog {
		return nil
	}
	link, err := access.NewFirstLink(ctx, s.deps.Store)
	if err != nil || link == "" {
		return err
	}
	base := strings.TrimSuffix(s.config.PublicURL, "/")
	if base == "" {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		base = "http://" + net.JoinHostPort(host, port)
	}
	s.deps.Logger.Warn("console.no_user", zap.String("make_the_first", base+access.SetupPath(link)), zap.Duration("valid", access.SetupLifetime))
	return nil
}

// Listen opens the address of API and console.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for API and console (AFTERCALL_LISTEN): %w", err)
	}
	return ln, nil
}

// server has limits everywhere: headers, bodies and answers all end in time.
func (s *Server) server() *http.Server {
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          zap.NewStdLog(s.deps.Logger),
	}
}

const watchEvery = 5 * time.Second

// watch tells readiness what the store and Kafka are up to.
func (s *Server) watch(ctx context.Context) error {
	for {
		check, cancel := context.WithTimeout(ctx, 3*time.Second)
		storeErr := s.deps.Store.Ping(check)
		kafkaErr := s.client.Ping(check)
		cancel()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being told to stop is no error
		}
		s.deps.Health.Set("admin.store", storeErr)
		s.deps.Health.Set("admin.kafka", kafkaErr)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// routes puts the surfaces behind one handler.
func (s *Server) routes(service *webhooks.Service, public *url.URL) http.Handler {
	logger := s.deps.Logger
	apiMux := http.NewServeMux()
	api.New(apiMux, s.deps.Store, service, logger)
	apiMux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, problem.NotFound("route"))
	})
	pages := console.New(console.Options{Store: s.deps.Store, Webhooks: service, Logger: logger, PublicURL: public, FirstSteps: s.config.FirstSteps, SetupInLog: s.config.SetupInLog})
	// Sessions are cookies, which browsers send along with what other sites
	// post.
	guard := http.NewCrossOriginProtection()
	if public != nil {
		// A proxy may ask for us by a name of its own.
		if err := guard.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
			logger.Warn("console.public_url", zap.Error(err))
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(pages.CrossOrigin))

	m := newMeter(s.deps.Registry)
	root := http.NewServeMux()
	root.Handle("/api/", m.wrap("api", logger, s.live.Guard(apiHeaders(apiMux)), func(w http.ResponseWriter, _ *http.Request, request string) {
		api.WriteProblem(w, problem.Fault(request))
	}))
	root.Handle("/", m.wrap("console", logger, s.live.Guard(guard.Handler(pages)), pages.Panicked))
	root.Handle("GET /livez", s.deps.Health)
	root.Handle("GET /readyz", s.deps.Health)
	for pattern, h := range s.deps.Mount {
		root.Handle(pattern, h)
	}
	return root
}

// apiHeaders are those of every answer of the API.
func apiHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// OpenAPI is the document that is served at /api/openapi.json.
func OpenAPI() ([]byte, error) {
	return api.New(http.NewServeMux(), nil, nil, zap.NewNop()).Document()
}

// Scopes lists the scopes of tokens.
func Scopes() []string { return slices.Clone(access.Scopes) }

// NewLoginLink makes the text of a one-time link to the console, as
// /login?t=<text>. It is valid for 12 hours, once.
func NewLoginLink(ctx context.Context, db *store.DB) (string, error) {
	return access.NewLoginLink(ctx, db, "admin", access.Scopes)
}

// EnsureToken makes text a valid API token of this name and these scopes; a
// token of the same name and another text is revoked.
func EnsureToken(ctx context.Context, db *store.DB, text, name string, scopes []string) error {
	return access.EnsureToken(ctx, db, text, name, scopes)
}

// NewToken makes the text of an API token, for EnsureToken.
func NewToken() string { return access.TokenPrefix + access.NewText() }

// Sample is a webhook that a deployment starts with.
type Sample struct {
	Name, Endpoint, Description string
	Events                      []string
	// Schedule is once, 1h or 72h, the default.
	Schedule string
	// SigningSecret is whsec_…, made when empty.
	SigningSecret string
}

// EnsureSubscription adds a webhook, unless there is or ever was one of its
// name: a sample that somebody deleted stays deleted. It needs no Kafka: the
// publisher publishes it when it starts. It answers the subscription's id.
func EnsureSubscription(ctx context.Context, d Deps, s Sample) (id string, err error) {
	if d.Logger == nil {
		d.Logger = zap.NewNop()
	}
	all, err := d.Store.Subscriptions(ctx, store.SubscriptionQuery{IncludeDeleted: true})
	if err != nil {
		return "", err
	}
	for _, have := range all {
		if have.Name == s.Name {
			return have.ID, nil
		}
	}
	service := layer(d)
	service.Publisher = later{}
	saved, err := service.Create(ctx, "", webhooks.Input{Name: s.Name, Endpoint: s.Endpoint, Events: s.Events, Schedule: s.Schedule, SigningSecret: s.SigningSecret, Description: s.Description},
		store.Actor{Name: "setup", Kind: "setup"})
	if err != nil {
		return "", fmt.Errorf("adding the sample %q: %w", s.Name, err)
	}
	return saved.Subscription.ID, nil
}

// PublishSubscriptions makes aftercall.subscriptions say what the store says, and
// returns when it does: before the first CDR is routed in a new deployment.
func PublishSubscriptions(ctx context.Context, c kafka.Config, d Deps) error {
	client, err := kgo.NewClient(append(c.Opts(), c.Producer()...)...)
	if err != nil {
		return fmt.Errorf("creating producer client: %w", err)
	}
	defer client.Close()
	return publish.New(d.Store, client, c, d.Logger, nil).Once(ctx)
}

// later leaves publishing to the publisher's start.
type later struct{}

func (later) Publish(context.Context, string) error { return nil }
func (later) Offset() int64                         { return 0 }
