// Package service is what the main functions of all services have in common:
// settings, logger, metrics, health, signals, in this order, and how a process
// ends.
//
// It guarantees that a service is configured before it starts anything, that
// /livez and /readyz answer from the first moment on, that the first signal lets
// the work in hand finish, and that the exit status tells what happened: 0 asked
// to end, 1 failed, 2 wrong settings.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/pkg/logging"
	"github.com/aftercall/aftercall/pkg/telemetry"
)

// Exit statuses.
const (
	exitFailed   = 1
	exitSettings = 2
)

// Process is what every service is given to work with.
type Process struct {
	Logger   *zap.Logger
	Registry *prometheus.Registry
	Health   *lifecycle.Health
	// Tracer is nil unless OpenTelemetry's variables ask for spans.
	Tracer  *telemetry.Tracer
	Version string
	// OpsAddress is where /livez, /readyz and /metrics answer; empty for nowhere.
	OpsAddress string
	// PprofAddress is where profiles are; empty for nowhere.
	PprofAddress string
}

// Settings are those of the process itself, common to all services.
type Settings struct {
	LogLevel string `env:"LOG_LEVEL" envDefault:"info"`
	// OpsListen is an address, or config.None.
	OpsListen string `env:"OPS_LISTEN" envDefault:"127.0.0.1:9100"`
	// PprofListen is a loopback address; empty for no profiles.
	PprofListen string `env:"PPROF_LISTEN"`
}

// Main runs a service and exits the process when it has ended. C is the struct
// of its settings, as config.Load reads them.
func Main[C any](name string, run func(ctx context.Context, cfg C, p Process) error) {
	ctx, stop := lifecycle.Signals(context.Background())
	status := Start(ctx, name, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, run)
	stop()
	os.Exit(status)
}

// configured are the settings of a process: those that all have, and its own.
type configured[C any] struct {
	Settings
	Service C
}

// Configured is where config reads the settings of a process into.
func Configured[C any]() any { return &configured[C]{} }

// Start is Main within a process that goes on afterwards: it runs the service
// until ctx ends, and answers the exit status.
func Start[C any](ctx context.Context, name string, args, environ []string, stdout io.Writer, stderr *os.File, run func(context.Context, C, Process) error) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s is configured by AFTERCALL_* variables (docs/configuration.md).\n%s health asks the one that runs whether it is ready. Flags:\n", name, name)
		flags.PrintDefaults()
	}
	version := flags.Bool("version", false, "print the version and end")
	printConfig := flags.Bool("print-config", false, "print the settings, secrets masked, and end")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitSettings
	case *version:
		fmt.Fprintln(stdout, name, telemetry.Version())
		return 0
	case flags.Arg(0) == "health":
		return health(ctx, environ, stdout, stderr)
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: no such command: %s\n", name, flags.Arg(0))
		return exitSettings
	}

	var cfg configured[C]
	if err := config.Load(&cfg, config.WithEnviron(environ)); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitSettings
	}
	if *printConfig {
		if err := config.Print(stdout, &cfg); err != nil {
			return exitFailed
		}
		return 0
	}
	log, err := logging.New(stderr, cfg.LogLevel)
	if err != nil {
		fmt.Fprintf(stderr, "%s: AFTERCALL_LOG_LEVEL: %v\n", name, err)
		return exitSettings
	}
	tracer, err := telemetry.NewTracer(context.Background(), name, func(err error) {
		log.Warn("tracing.failed", zap.Error(err))
	})
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return exitSettings
	}
	defer closeTracer(tracer, log)
	p := Process{
		Logger:   log.Named(name),
		Tracer:   tracer,
		Registry: telemetry.NewRegistry(name),
		Health:   lifecycle.NewHealth(),
		Version:  telemetry.Version(),
	}
	// Open before anything else starts, so that a busy port is known at once.
	ops := func(ctx context.Context) error { return lifecycle.ServeOps(ctx, "", p.Health, p.Registry) }
	if cfg.OpsListen != config.None {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", cfg.OpsListen)
		if err != nil {
			fmt.Fprintf(stderr, "%s: AFTERCALL_OPS_LISTEN: %v\n", name, err)
			return exitSettings
		}
		p.OpsAddress = ln.Addr().String()
		ops = func(ctx context.Context) error { return lifecycle.ServeOpsOn(ctx, ln, p.Health, p.Registry) }
	}

	parts := map[string]func(context.Context) error{
		"ops": ops,
		name:  func(ctx context.Context) error { return run(ctx, cfg.Service, p) },
	}
	if cfg.PprofListen != "" {
		ln, err := lifecycle.ListenPprof(ctx, cfg.PprofListen)
		if err != nil {
			fmt.Fprintf(stderr, "%s: AFTERCALL_PPROF_LISTEN: %v\n", name, err)
			return exitSettings
		}
		p.PprofAddress = ln.Addr().String()
		parts["pprof"] = func(ctx context.Context) error { return lifecycle.ServePprof(ctx, ln) }
	}

	p.Logger.Info("service.started", zap.String("version", p.Version), zap.String("ops", p.OpsAddress))
	err = lifecycle.Run(ctx, parts)
	if err != nil {
		p.Logger.Error("service.failed", zap.Error(err))
		return exitFailed
	}
	p.Logger.Info("service.ended", zap.String("cause", context.Cause(ctx).Error()))
	return 0
}

// lastSpans is how long a process waits for its last spans to be taken.
const lastSpans = 5 * time.Second

func closeTracer(tracer *telemetry.Tracer, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	if err := tracer.Close(ctx); err != nil {
		log.Warn("tracing.failed", zap.Error(err))
	}
}
