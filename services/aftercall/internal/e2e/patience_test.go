//go:build !proof

package e2e

import "time"

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second
