package store

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Schema is how a database stands to this program, as it was found: nothing is
// changed by looking.
type Schema struct {
	// Has is the newest migration that was applied, 0 when there are no tables.
	// Wants is the newest that this program brings.
	Has, Wants int64
	// Now is the database server's clock, zero where there is none of its own.
	Now time.Time
}

// NewestMigration is the highest number among a folder's migrations.
func NewestMigration(folder fs.FS) (int64, error) {
	files, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("listing migrations: %w", err)
	}
	newest := int64(0)
	for _, name := range files {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the number of migration %s: %w", name, err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}
