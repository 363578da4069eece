package postgres_test

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestPostgresConforms(t *testing.T) {
	storetest.PostgresURL(t)
	storetest.Run(t, func(t testing.TB) *store.DB { return storetest.Postgres(t) })
}
