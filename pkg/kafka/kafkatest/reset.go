package kafkatest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/kafka"
)

const ours = "aftercall"

// alone keeps the tests of other packages, which run at the same time, off the
// one real broker.
func alone(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "aftercall-test-kafka.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("waiting for the real broker: %v", err)
	}
	t.Cleanup(func() { f.Close() })
}

// reset removes what earlier tests left: open transactions first, since they
// hold back both readers and commits, then groups with their members, then
// topics.
func reset(ctx context.Context, t testing.TB, c kafka.Config) {
	t.Helper()
	client, err := kgo.NewClient(c.Opts()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	abortTransactions(ctx, t, c, adm)
	deleteGroups(ctx, t, adm)
	deleteTopics(ctx, t, adm)
}

func abortTransactions(ctx context.Context, t testing.TB, c kafka.Config, adm *kadm.Client) {
	t.Helper()
	open, err := adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		t.Fatalf("listing transactions: %v", err)
	}
	for id, txn := range open {
		if !strings.HasPrefix(id, ours) || (txn.State != "Ongoing" && !strings.HasPrefix(txn.State, "Prepare")) {
			continue
		}
		// Taking over the id fences its owner and aborts what it left open.
		owner, err := kgo.NewClient(append(c.Opts(), kgo.TransactionalID(id))...)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = owner.ProducerID(ctx)
		owner.Close()
		if err != nil {
			t.Fatalf("aborting transaction %s: %v", id, err)
		}
	}
}

func deleteGroups(ctx context.Context, t testing.TB, adm *kadm.Client) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		groups, err := adm.ListGroups(ctx)
		if err != nil {
			t.Fatalf("listing groups: %v", err)
		}
		var left []string
		for _, g := range groups.Groups() {
			if strings.HasPrefix(g, ours) {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			return
		}
		described, err := adm.DescribeGroups(ctx, left...)
		if err != nil {
			t.Fatalf("describing groups: %v", err)
		}
		for _, g := range described {
			for _, m := range g.Members {
				if m.InstanceID != nil {
					_, _ = adm.LeaveGroup(ctx, kadm.LeaveGroup(g.Group).InstanceIDs(*m.InstanceID))
				}
			}
		}
		answers, err := adm.DeleteGroups(ctx, left...)
		if err == nil {
			err = answers.Error()
		}
		if err != nil && time.Now().After(deadline) {
			t.Fatalf("deleting groups %v: %v", left, err)
		}
		if err != nil {
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func deleteTopics(ctx context.Context, t testing.TB, adm *kadm.Client) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			t.Fatalf("listing topics: %v", err)
		}
		var left []string
		for _, name := range topics.Names() {
			if strings.HasPrefix(name, ours+".") {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			return
		}
		answers, err := adm.DeleteTopics(ctx, left...)
		if err == nil {
			err = answers.Error()
		}
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) && time.Now().After(deadline) {
			t.Fatalf("deleting topics %v: %v", left, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
