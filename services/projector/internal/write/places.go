package write

import (
	"context"
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partition names one partition.
type partition struct {
	topic string
	id    int32
}

// places are the partitions of this session with the offset at which the store
// stands for each of them.
type places struct {
	mu sync.Mutex
	at map[partition]int64
	// behind marks those whose offset is still to be committed to Kafka.
	behind map[partition]bool
}

func (p *places) get(t partition) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.at[t]
	return at, ok
}

func (p *places) set(t partition, at int64, moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[t] = at
	if moved {
		if p.behind == nil {
			p.behind = map[partition]bool{}
		}
		p.behind[t] = true
	}
}

func (p *places) drop(t partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, t)
	delete(p.behind, t)
}

// all are the partitions held, in order.
func (p *places) all() []partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]partition, 0, len(p.at))
	for t := range p.at {
		out = append(out, t)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].topic != out[j].topic {
			return out[i].topic < out[j].topic
		}
		return out[i].id < out[j].id
	})
	return out
}

// uncommitted are the offsets that Kafka does not know yet; it forgets them.
func (p *places) uncommitted() map[string]map[int32]kgo.EpochOffset {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]map[int32]kgo.EpochOffset{}
	for t := range p.behind {
		if out[t.topic] == nil {
			out[t.topic] = map[int32]kgo.EpochOffset{}
		}
		out[t.topic][t.id] = kgo.EpochOffset{Epoch: -1, Offset: p.at[t]}
	}
	clear(p.behind)
	return out
}

// revoked runs between two polls only, never during a batch.
func (s *session) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	for t, ids := range gone {
		for _, id := range ids {
			s.drop(partition{t, id})
		}
	}
	// A session that ends keeps its figures: they must grow old meanwhile.
	if !s.ended.Load() {
		s.metrics.keep(s.all())
	}
}
