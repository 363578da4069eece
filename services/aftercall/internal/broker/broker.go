// Package broker is how commands reach Kafka: --brokers, and the settings that
// the services have for TLS and SASL.
package broker

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/kafka"
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
	flags.StringSliceVar(brokers, "brokers", defaults, "`host:port` of the broker; several with commas; AFTERCALL_BROKERS when set")
}

// Config connects a command to brokers, secured by AFTERCALL_KAFKA_….
func Config(brokers []string, command string) (kafka.Config, error) {
	c := kafka.Config{Brokers: brokers, ClientID: "aftercall-" + command}
	return c, config.Load(&c.Security)
}
