package sqlite_test

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

// BenchmarkProject projects batches of 5,000 records.
func BenchmarkProject(b *testing.B) { storetest.BenchmarkProject(b, storetest.SQLite(b)) }
