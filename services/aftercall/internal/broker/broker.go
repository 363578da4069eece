// Package broker is how commands reach Kafka: --brokers, and the settings that
// the services have for TLS and SASL.
package broker

import (
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// Default is where `aftercall dev` listens.
const Default = "127.0.0.1:8421"

// Flag adds --brokers: AFTERCALL_BROKERS when that is set, else the broker of the
// one-process edition.
func Flag(flags *pflag.FlagSet, brokers *[]string) {
	defaults := []string{Default}
	if set := os.Getenv("AFTERCALL_BROKERS"); set != "" {
		defaults = strings.Split(set, ",")
	}
	add(flags, brokers, defaults)
}

// Named adds --brokers for commands that want a broker named: AFTERCALL_BROKERS
// is theirs to read.
func Named(flags *pflag.FlagSet, brokers *[]string) { add(flags, brokers, nil) }

func add(flags *pflag.FlagSet, brokers *[]string, defaults []string) {
	flags.StringSliceVar(brokers, "brokers", defaults, "`host:port` of the broker; several with commas; AFTERCALL_BROKERS when set")
	f := flags.Lookup("brokers")
	f.Value = checked{f.Value}
}

// checked is --brokers with its addresses looked at when it is read.
type checked struct{ pflag.Value }

func (c checked) Set(text string) error {
	if err := Check(strings.Split(text, ",")); err != nil {
		return err
	}
	return c.Value.Set(text)
}

// Config connects a command to brokers, secured by AFTERCALL_KAFKA_….
func Config(brokers []string, command string) (kafka.Config, error) {
	if err := Check(brokers); err != nil {
		return kafka.Config{}, err
	}
	c := kafka.Config{Brokers: brokers, ClientID: "aftercall-" + command}
	return c, config.Load(&c.Security)
}

// withPort is an address with Kafka's port where it names none.
func withPort(addr string) string {
	if strings.Contains(addr, ":") {
		return addr
	}
	return addr + ":9092"
}

// Check refuses what is no address of a broker: host, or host:port.
func Check(brokers []string) error {
	for _, b := range brokers {
		host, port, err := net.SplitHostPort(withPort(b))
		if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 1 || n > 65535 || strings.TrimSpace(host) == "" {
			return client.Usagef("--brokers (or AFTERCALL_BROKERS) is host:port, several with commas, not %q", b)
		}
	}
	if len(brokers) == 0 {
		return client.Usagef("--brokers (or AFTERCALL_BROKERS) names no broker")
	}
	return nil
}
