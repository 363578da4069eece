//go:build synctests && !proof

package rehearsal

// seedsToRun are the seeds in the gate.
const seedsToRun = 20
