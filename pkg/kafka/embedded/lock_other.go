//go:build !unix

package embedded

import (
	"errors"
	"os"
)

func lock(string) (*os.File, error) {
	return nil, errors.New("keeping data needs a Unix system: folders cannot be locked here")
}
