//go:build !proof

package core

// seedsToRun are the seeds of the simulation in the gate.
const seedsToRun = 2000
