package postgres_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// A run that was killed between taking a partition off and dropping it leaves a
// table that belongs to nothing.
func TestAPartitionThatWasLeftHalfDroppedGoesInTheNextRunAndIsInNobodysWay(t *testing.T) {
	storetest.PostgresURL(t)
	db := storetest.Postgres(t)
	ctx := context.Background()
	at := time.Date(2020, 5, 6, 7, 0, 0, 0, time.UTC)
	project := func() {
		t.Helper()
		_, err := db.Project(ctx, &store.Batch{Attempts: []*store.AttemptAt{{Attempt: &aftercallv1.Attempt{
			AttemptId: "att_1", DeliveryId: "dlv_1", StartedAt: timestamppb.New(at), State: aftercallv1.DeliveryState_DELIVERY_STATE_DELIVERED,
		}, StoredAt: at}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	detach := func() {
		t.Helper()
		if _, err := db.SQL().ExecContext(ctx, `alter table attempts detach partition attempts_20200506`); err != nil {
			t.Fatal(err)
		}
	}
	exists := func() (yes bool) {
		t.Helper()
		if err := db.SQL().QueryRowContext(ctx, `select to_regclass('attempts_20200506') is not null`).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		return yes
	}

	project()
	detach()
	project() // makes it anew
	if _, err := db.Attempt(ctx, "att_1"); err != nil {
		t.Errorf("after a late record: %v", err)
	}
	detach()
	keep := store.Retention{Payloads: store.MinHistory, History: store.MinHistory}
	counts, err := db.Prune(ctx, time.Now(), keep)
	if err != nil || counts["attempts"] != 1 || exists() {
		t.Errorf("pruned %v, it is there: %t, %v", counts, exists(), err)
	}
}
