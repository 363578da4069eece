package verify

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/listen"
)

// lines calls do for each line of JSON in a file. A last line that a crash cut
// short is left out.
func lines[T any](path string, do func(T)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading line %d of %s: %w", n, path, err)
		}
		var v T
		if bad := json.Unmarshal(text, &v); bad != nil {
			if err != nil {
				return nil
			}
			return fmt.Errorf("line %d of %s is not what was expected: %w", n, path, bad)
		}
		do(v)
	}
}

// logged takes in a receiver's log, up to the moment of the look. The webhooks of
// which it tells, and for which time, are noted: of others it proves nothing.
func (c *checker) logged(path string, until time.Time) error {
	whole, told := extent{}, map[string]bool{}
	err := lines(path, func(e listen.Entry) {
		whole.add(e.Time)
		whole.add(e.Time.Add(e.Took))
		if d := c.deliveries[e.DeliveryID]; d != nil {
			told[d.subscription] = true
		}
		if e.Time.Before(until) {
			c.request(&e)
		}
	})
	if err != nil {
		return fmt.Errorf("--requests: %w", err)
	}
	of := window{whole.first.Add(-c.run.Skew), whole.last}
	for id := range told {
		if have, twice := c.run.Seen[id]; twice {
			// Several receivers of one webhook: where both tell.
			if have.from.After(of.from) {
				of.from = have.from
			}
			if have.to.Before(of.to) {
				of.to = have.to
			}
		}
		c.run.Seen[id] = of
	}
	return nil
}

// produced is one line of a producer's log.
type produced struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Value     *string `json:"value"`
	Base64    []byte  `json:"value_base64"`
	SHA256    string  `json:"sha256"`
}

// digest of what was produced, if the line tells it.
func (p produced) digest() (d digest, told bool, err error) {
	switch {
	case p.Value != nil:
		return sum([]byte(*p.Value)), true, nil
	case p.Base64 != nil:
		return sum(p.Base64), true, nil
	case p.SHA256 != "":
		raw, err := hex.DecodeString(p.SHA256)
		if err != nil || len(raw) != sha256.Size {
			return d, false, fmt.Errorf("--cdrs: %q is no SHA-256 in hex", p.SHA256)
		}
		return digest(raw[:16]), true, nil
	}
	return d, false, nil
}

// acknowledgements judges a producer's log: what was acknowledged within the span
// has to be in its topic.
func (c *checker) acknowledgements(path string) error {
	var failed error
	err := lines(path, func(p produced) {
		at := Position{p.Topic, p.Partition, p.Offset}
		if !c.inScope(at) {
			c.report.Elsewhere++
			return
		}
		d, told, err := p.digest()
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		c.report.Acknowledged++
		if f := c.cdrs[at]; f != nil && !told {
			d = f.payload
		}
		c.acknowledged(at, d)
	})
	if err != nil {
		return fmt.Errorf("--cdrs: %w", err)
	}
	return failed
}
