//go:build synctests && proof

package rehearsal

// seedsToRun are the seeds before a release.
const seedsToRun = 300
