package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aftercall/aftercall/pkg/config"
)

// health asks the process that runs with the same settings whether it is ready,
// for containers whose image holds nothing else that could ask.
func health(ctx context.Context, environ []string, stdout, stderr io.Writer) int {
	var cfg Settings
	if err := config.Load(&cfg, config.WithEnviron(environ)); err != nil {
		fmt.Fprintln(stderr, err)
		return exitSettings
	}
	host, port, err := net.SplitHostPort(cfg.OpsListen)
	if err != nil {
		fmt.Fprintf(stderr, "AFTERCALL_OPS_LISTEN is %q: nothing answers there\n", cfg.OpsListen)
		return exitSettings
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitSettings
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	defer res.Body.Close()
	if _, err := io.Copy(stdout, io.LimitReader(res.Body, 64<<10)); err != nil || res.StatusCode != http.StatusOK {
		return exitFailed
	}
	return 0
}
