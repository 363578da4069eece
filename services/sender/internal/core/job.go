package core

import (
	"time"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// Job is one record under way.
type Job struct {
	// Delivery is nil for a record that this build cannot read.
	Delivery *aftercallv1.Delivery
	// Key of the record, kept over retries.
	Key       []byte
	Partition int32
	Offset    int64
	// Size in bytes that the job holds.
	Size int
	// Raw is the shell's: the record behind a job without a delivery.
	Raw any

	admitted   time.Time
	endpoint   *endpoint
	assignment *assignment
	stage      stage
	copies     []*Job
}

// Lost says that the job's partition is no longer ours: its outcome would mark
// nothing.
func (j *Job) Lost() bool { return j.assignment.lost }

type stage uint8

const (
	queued stage = iota
	posting
	settling
	finished
)

// identity of one try: copies of a record share it.
type identity struct {
	delivery  string
	attempt   int32
	deferrals int32
}

func (j *Job) identity() identity {
	return identity{j.Delivery.GetDeliveryId(), j.Delivery.GetAttempt(), j.Delivery.GetDeferrals()}
}

// fifo is a queue of jobs that lets go of its memory.
type fifo struct {
	jobs []*Job
	head int
}

func (f *fifo) len() int { return len(f.jobs) - f.head }

func (f *fifo) peek() *Job {
	if f.len() == 0 {
		return nil
	}
	return f.jobs[f.head]
}

func (f *fifo) push(j *Job) { f.jobs = append(f.jobs, j) }

func (f *fifo) pop() *Job {
	j := f.jobs[f.head]
	f.jobs[f.head] = nil
	f.head++
	switch {
	case f.head == len(f.jobs):
		f.jobs, f.head = f.jobs[:0], 0
		if cap(f.jobs) > 1024 {
			f.jobs = nil
		}
	case f.head > 1024 && f.head*2 > len(f.jobs):
		f.jobs, f.head = append([]*Job(nil), f.jobs[f.head:]...), 0
	}
	return j
}

// popLast takes out the one that came last.
func (f *fifo) popLast() *Job {
	last := len(f.jobs) - 1
	j := f.jobs[last]
	f.jobs[last] = nil
	f.jobs = f.jobs[:last]
	if f.head == len(f.jobs) {
		f.jobs, f.head = f.jobs[:0], 0
	}
	return j
}

// remove takes out the jobs for which drop is true, in order, at most limit of
// them.
func (f *fifo) remove(limit int, drop func(*Job) bool) []*Job {
	var out []*Job
	kept := f.jobs[:f.head]
	for i := f.head; i < len(f.jobs); i++ {
		if len(out) < limit && drop(f.jobs[i]) {
			out = append(out, f.jobs[i])
			continue
		}
		kept = append(kept, f.jobs[i])
	}
	clear(f.jobs[len(kept):])
	f.jobs = kept
	return out
}
