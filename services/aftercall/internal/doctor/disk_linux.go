package doctor

import "syscall"

// diskSpace is what is free on the disk of a folder for whoever runs this, and its
// size.
func diskSpace(folder string) (free, size int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}
