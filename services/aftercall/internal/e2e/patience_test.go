//go:build !proof

package e2e

import "time"

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// timed says that a test may judge how long something took. Not here: the tests of
// other packages run at the same time, on any machine.
const timed = false
