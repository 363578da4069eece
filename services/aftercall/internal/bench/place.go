package bench

import (
	"context"
	"errors"
	"os"

	"go.uber.org/zap"

	"github.com/aftercall/aftercall/pkg/kafka"
	"github.com/aftercall/aftercall/pkg/kafka/embedded"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/postgres"
	"github.com/aftercall/aftercall/pkg/store/sqlite"
)

// place is where the pipeline runs: a broker and a store, both empty.
type place struct {
	name  string
	kafka kafka.Config
	store *store.DB
}

const (
	onEmbedded = "one process (embedded broker, SQLite)"
	onReal     = "real Kafka + PostgreSQL"
)

// places names those that the options allow.
func (o Options) places() []string {
	if len(o.Brokers) > 0 && o.Database != "" {
		return []string{onEmbedded, onReal}
	}
	return []string{onEmbedded}
}

// at makes a place, works there and clears it away.
func (o Options) at(ctx context.Context, name string, work func(ctx context.Context, at place) error) error {
	if name == onReal {
		return o.atReal(ctx, work)
	}
	return o.atEmbedded(ctx, work)
}

func (o Options) atEmbedded(ctx context.Context, work func(ctx context.Context, at place) error) error {
	dir, err := os.MkdirTemp("", "aftercall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var broker *embedded.Broker
	if err := as(ctx, "broker", func(context.Context) (err error) {
		broker, err = embedded.Start(embedded.Config{Dir: dir + "/broker", Listen: "127.0.0.1:0", Logger: zap.NewNop()})
		return err
	}); err != nil {
		return err
	}
	defer broker.Close()
	db, err := sqlite.Open(ctx, dir+"/aftercall.db", sqlite.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return work(ctx, place{onEmbedded, broker.Kafka(), db})
}

func (o Options) atReal(ctx context.Context, work func(ctx context.Context, at place) error) (err error) {
	c := kafka.Config{Brokers: o.Brokers, EnsureTopics: true}
	if o.Reset {
		if err := reset(ctx, c); err != nil {
			return err
		}
	}
	url, drop, err := freshDatabase(ctx, o.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	db, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return work(ctx, place{onReal, c, db})
}
