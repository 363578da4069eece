//go:build !linux

package embedded

// diskSpace is not known here: the guard goes by the size of the data alone.
func diskSpace(string) (free, size int64) { return -1, 0 }

// machineMemory is not known here.
func machineMemory() int64 { return 0 }
