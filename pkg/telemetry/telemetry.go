// Package telemetry sets up what a process tells about itself: Prometheus' metrics,
// and OpenTelemetry's spans where its variables ask for them.
//
// It guarantees that every service's registry begins with the same collectors:
// Go runtime, process, build information, and aftercall_build_info with the
// version that was built.
package telemetry

import (
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// version is set by the linker (make build); "dev" otherwise.
var version = "dev"

// Version is the version that was built, and the commit where it is known.
func Version() string {
	if version != "dev" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "-" + s.Value[:12]
		}
	}
	return version
}

// NewRegistry returns a registry with the common collectors for a service.
func NewRegistry(service string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "aftercall_build_info",
		Help:        "Always 1; the labels say which service and version this is.",
		ConstLabels: prometheus.Labels{"service": service, "version": Version()},
	})
	build.Set(1)
	reg.MustRegister(
		build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}
