package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aftercall/aftercall/pkg/topic"
)

// Limits of what the broker keeps. The zero value takes the defaults.
type Limits struct {
	// KeepFree is the free disk space in bytes below which new CDRs are refused:
	// 2 GiB when 0, or a twentieth of a disk smaller than 40 GiB.
	KeepFree int64
	// MaxData is how large the data may grow in bytes: a quarter of the machine's
	// memory when 0, since a start reads all of it.
	MaxData int64
}

const (
	defaultKeepFree = 2 << 30
	// crowded is the share of the largest size from which younger records go, too.
	crowded = 0.8
	// assumedMemory is a machine's whose memory is not known.
	assumedMemory = 8 << 30
)

// ErrNoRoom says that new CDRs are refused until there is room again.
var ErrNoRoom = errors.New("new CDRs are refused")

// room is what the broker has left.
type room struct {
	used, maxData  int64
	free, keepFree int64
}

// measure looks at the folder and at its disk. free is negative where the system
// does not tell.
func measure(dir string, l Limits) (room, error) {
	used, err := folderSize(dir)
	if err != nil {
		return room{}, fmt.Errorf("measuring the data folder: %w", err)
	}
	free, size := diskSpace(dir)
	r := room{used: used, maxData: l.MaxData, free: free, keepFree: l.KeepFree}
	if r.keepFree == 0 {
		r.keepFree = min(defaultKeepFree, size/20)
	}
	if r.maxData == 0 {
		memory := machineMemory()
		if memory <= 0 {
			memory = assumedMemory
		}
		r.maxData = memory / 4
	}
	return r, nil
}

// err says what there is no room for. Who was refused before is taken again only
// when there is a tenth more than needed, so that it does not flap.
func (r room) err(refused bool) error {
	keep, most := r.keepFree, r.maxData
	if refused {
		keep, most = keep+keep/10, most-most/10
	}
	switch {
	case r.free >= 0 && r.free < keep:
		return fmt.Errorf("%w: %s are free on the disk of the data folder, %s are kept free (--keep-free); free some space", ErrNoRoom, size(r.free), size(keep))
	case r.used > most:
		return fmt.Errorf("%w: the broker holds %s, of at most %s (--max-data); what is not delivered and recorded yet cannot be deleted", ErrNoRoom, size(r.used), size(most))
	}
	return nil
}

// crowded says whether younger records have to go, too.
func (r room) crowded() bool {
	return r.err(false) != nil || float64(r.used) > crowded*float64(r.maxData)
}

func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func folderSize(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		n += info.Size()
		return nil
	})
	return n, err
}

// ignoreGone: segments are deleted while they are counted.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// gate refuses CDRs while there is no room. The pipeline's own records still
// pass: what is accepted is delivered and recorded.
type gate struct {
	closed atomic.Bool
	// upstream are the ids of the CDR topics: a client may name a topic by its id
	// alone.
	upstream atomic.Pointer[map[[16]byte]bool]
}

// refuse answers a produce of CDRs with an error that every client takes for one
// that passes, and tries again.
func (g *gate) refuse(req kmsg.Request) (kmsg.Response, bool) {
	produce, ok := req.(*kmsg.ProduceRequest)
	if !ok || !g.closed.Load() || !g.carriesCDRs(produce) {
		return nil, false
	}
	resp := produce.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range produce.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, kerr.KafkaStorageError.Code, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, true
}

func (g *gate) carriesCDRs(produce *kmsg.ProduceRequest) bool {
	ids := g.upstream.Load()
	for _, t := range produce.Topics {
		if isUpstream(t.Topic) || t.Topic == "" && ids != nil && (*ids)[t.TopicID] {
			return true
		}
	}
	return false
}

// isUpstream says whether others produce to a topic: Aftercall's own events pass.
func isUpstream(name string) bool {
	_, source := topic.Sources[name]
	return source && name != topic.CDRSystem
}
