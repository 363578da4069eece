//go:build proof

package e2e

import "time"

// patience is longer here: after hundreds of cuts at 400 ms a round trip, and beside
// whatever else the machine does, catching up takes its time.
const patience = 5 * time.Minute

// timed says that a test may judge how long something took.
const timed = true
