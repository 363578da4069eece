package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/pflag"

	"github.com/aftercall/aftercall/pkg/cdrclient"
)

// Log is a producer's log: a JSON line for each CDR that the broker acknowledged,
// as aftercall verify --cdrs reads it. It holds places and digests, and nothing
// that a CDR says.
type Log struct {
	file *os.File
	mu   sync.Mutex
	err  error
}

// LogFlag adds --log.
func LogFlag(flags *pflag.FlagSet, path *string) {
	flags.StringVar(path, "log", "", "append the place and digest of each CDR that was acknowledged to this `file`, for aftercall verify --cdrs")
}

// OpenLog opens the file to append to. Without a path it is nil, and notes nothing.
func OpenLog(path string) (*Log, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // a nil Log is one that notes nothing
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--log: %w", err)
	}
	return &Log{file: f}, nil
}

// Note is what a client tells acknowledgements to, nil where there is no log.
func (l *Log) Note() func(cdrclient.Acknowledgement) {
	if l == nil {
		return nil
	}
	return func(a cdrclient.Acknowledgement) {
		sum := sha256.Sum256(a.Value)
		line, err := json.Marshal(struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			Offset    int64  `json:"offset"`
			SHA256    string `json:"sha256"`
		}{a.Topic, a.Partition, a.Offset, hex.EncodeToString(sum[:])})
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil {
			_, err = l.file.Write(append(line, '\n'))
		}
		l.err = errors.Join(l.err, err)
	}
}

// Close says whether every line is in the file, and on the disk.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	if err := errors.Join(l.err, l.file.Sync(), l.file.Close()); err != nil {
		return fmt.Errorf("writing --log: %w", err)
	}
	return nil
}
