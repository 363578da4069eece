//go:build proof

package core

// seedsToRun are the seeds of the simulation before a release.
const seedsToRun = 10_000
