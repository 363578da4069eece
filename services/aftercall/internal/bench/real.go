package bench

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

// databaseName is the database that a run makes and drops.
const databaseName = "aftercall_bench"

// freshDatabase makes an empty database on the server of a URL and answers its
// URL and what drops it.
func freshDatabase(ctx context.Context, server string) (string, func() error, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return "", nil, fmt.Errorf("--database must be a postgres:// URL") // the parser's error would show the password
	}
	run := func(ctx context.Context, statements ...string) error {
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			return fmt.Errorf("connecting to the database: %w", err)
		}
		defer conn.Close(ctx)
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s); err != nil {
				return fmt.Errorf("running %q: %w", s, err)
			}
		}
		return nil
	}
	const dropIt = "drop database if exists " + databaseName + " with (force)"
	if err := run(ctx, dropIt, "create database "+databaseName); err != nil {
		return "", nil, err
	}
	u.Path = "/" + databaseName
	return u.String(), func() error { return run(context.WithoutCancel(ctx), dropIt) }, nil
}

// resetWithin bounds the wait for the brokers to forget.
const resetWithin = time.Minute

// reset deletes Aftercall's groups and topics, so that nothing that was there
// is delivered or stored again within the measurement.
func reset(ctx context.Context, c kafka.Config) error {
	ctx, cancel := context.WithTimeout(ctx, resetWithin)
	defer cancel()
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		return fmt.Errorf("configuring the Kafka client: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	for {
		groups, err := adm.ListGroups(ctx)
		if err != nil {
			return fmt.Errorf("listing groups: %w", err)
		}
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			return fmt.Errorf("listing topics: %w", err)
		}
		oldGroups, oldTopics := ours(groups.Groups(), "aftercall-"), ours(topics.Names(), "aftercall.")
		if len(oldGroups)+len(oldTopics) == 0 {
			return nil
		}
		if len(oldGroups) > 0 {
			dismiss(ctx, adm, oldGroups)
			_, _ = adm.DeleteGroups(ctx, oldGroups...) // looked at again in the next round
		}
		if len(oldTopics) > 0 {
			if _, err := adm.DeleteTopics(ctx, oldTopics...); err != nil {
				return fmt.Errorf("deleting topics: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until groups %v and topics %v are gone: %w", oldGroups, oldTopics, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// dismiss sends static members away that no longer live: a group with members
// cannot be deleted.
func dismiss(ctx context.Context, adm *kadm.Client, groups []string) {
	described, err := adm.DescribeGroups(ctx, groups...)
	if err != nil {
		return
	}
	for _, g := range described {
		for _, m := range g.Members {
			if m.InstanceID != nil {
				_, _ = adm.LeaveGroup(ctx, kadm.LeaveGroup(g.Group).InstanceIDs(*m.InstanceID))
			}
		}
	}
}

func ours(names []string, prefix string) []string {
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			out = append(out, n)
		}
	}
	return out
}
