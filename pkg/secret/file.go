package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	keyFileMode = 0o600
	othersRead  = 0o077
)

// OpenOrCreateFile opens the keyset in a file, or makes a new one there when the
// file does not exist, readable by its owner only. Two processes that do so at
// once end up with the same keyset.
//
// A file that others can read is refused: whoever read it can open every secret,
// and only a person can judge whether somebody did. (A file that a platform
// mounts for the service is read by the configuration instead, which does not ask
// for its mode.)
func OpenOrCreateFile(path string) (k *Keyset, created bool, err error) {
	k, err = openFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	if created, err = createFile(path); err != nil {
		return nil, false, fmt.Errorf("creating key file %s: %w", path, err)
	}
	k, err = openFile(path)
	return k, created, err
}

// CreateFile makes a new keyset in a file, readable by its owner only. An existing
// file stays as it is, and is an error (fs.ErrExist).
func CreateFile(path string) (*Keyset, error) {
	created, err := createFile(path)
	if err == nil && !created {
		err = fs.ErrExist
	}
	if err != nil {
		return nil, fmt.Errorf("creating key file %s: %w", path, err)
	}
	return openFile(path)
}

func openFile(path string) (*Keyset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is not a file", path)
	}
	if info.Mode().Perm()&othersRead != 0 {
		return nil, fmt.Errorf("key file %s is open to other users (mode %04o): run chmod 600 %s, and make a new key if one of them may have read it",
			path, info.Mode().Perm(), path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading key file: %w", err)
	}
	k, err := Open(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// createFile writes a new keyset beside path, makes it durable and links it into
// place: a crash leaves the whole file or none, and an existing one stays.
func createFile(path string) (created bool, err error) {
	data, err := NewKeyset()
	if err != nil {
		return false, err
	}
	dir := filepath.Dir(path)
	// CreateTemp makes it 0600.
	f, err := os.CreateTemp(dir, ".keyset-*")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(keyFileMode), f.Sync(), f.Close())
	if err != nil {
		return false, err
	}
	switch err := os.Link(f.Name(), path); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return true, err
	}
	return true, errors.Join(d.Sync(), d.Close())
}
