// Package logging sets up the logger of a process and the names of its fields.
//
// It guarantees one shape for all services: one JSON object a line where the
// output is collected by a machine, readable lines on a terminal; times in UTC
// with milliseconds; messages of the form noun.verb (delivery.attempted). Log
// lines never hold payloads, secrets, phone numbers or URLs with their query:
// the fields here are the identifiers that may be logged.
package logging

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a logger that writes to out what is at least as severe as level
// (debug, info, warn or error; empty means info).
func New(out *os.File, level string) (*zap.Logger, error) {
	least := zapcore.InfoLevel
	if level != "" {
		var err error
		if least, err = zapcore.ParseLevel(level); err != nil {
			return nil, fmt.Errorf("setting the log level: %w", err)
		}
	}
	core := zapcore.NewCore(encoder(isatty.IsTerminal(out.Fd())), zapcore.Lock(out), least)
	return zap.New(core, zap.ErrorOutput(zapcore.Lock(out))), nil
}

func encoder(terminal bool) zapcore.Encoder {
	c := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "msg", StacktraceKey: "stack",
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
		},
	}
	if !terminal {
		return zapcore.NewJSONEncoder(c)
	}
	c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	c.EncodeLevel = zapcore.CapitalColorLevelEncoder
	return zapcore.NewConsoleEncoder(c)
}

// Event is the field of an event id.
func Event(id string) zap.Field { return zap.String("event_id", id) }

// Delivery is the field of a delivery id.
func Delivery(id string) zap.Field { return zap.String("delivery_id", id) }

// Attempt is the field of an attempt's id.
func Attempt(id string) zap.Field { return zap.String("attempt_id", id) }

// Subscription is the field of a subscription id.
func Subscription(id string) zap.Field { return zap.String("subscription_id", id) }

// Position is the field of a record's place in Kafka: topic/partition@offset.
func Position(topic string, partition int32, offset int64) zap.Field {
	return zap.String("position", topic+"/"+strconv.Itoa(int(partition))+"@"+strconv.FormatInt(offset, 10))
}
