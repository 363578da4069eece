//go:build !linux

package doctor

import "errors"

func diskSpace(string) (free, size int64, err error) {
	return 0, 0, errors.New("this system does not tell")
}
