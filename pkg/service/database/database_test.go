package database_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/service/database"
)

func TestAddressesAreThoseOfEveryHost(t *testing.T) {
	for url, want := range map[string][]string{
		"postgres://u:p@db:5433/x?sslmode=disable":         {"db:5433"},
		"postgres://u@a,b:6000/x?sslmode=disable":          {"a:5432", "b:6000"},
		"host=/run/postgresql dbname=x":                    nil,
		"host=10.0.0.1 port=7000 dbname=x sslmode=disable": {"10.0.0.1:7000"},
		"rubbish://": nil,
	} {
		got := database.Config{URL: url}.Addresses()
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

func TestAMissingURLNamesTheVariable(t *testing.T) {
	if _, err := (database.Config{}).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "AFTERCALL_DATABASE_URL") {
		t.Fatalf("got %v", err)
	}
}
