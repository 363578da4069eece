// Package tracker knows, for one assignment of one partition, which received
// records are finished, and from that the one offset that may be committed.
//
//	received   100 101 103 104 107 108        (102, 105 and 106 are markers)
//	done         x   .   x   x   .   x
//	             └ commit 101, done above it: 103–104, 108
//
// It guarantees that the committed offset never goes back, never passes a
// record that is not finished, and that what is finished above it can be told to
// the next owner of the partition in the commit's metadata (see Map). Offsets
// may have gaps: nothing here computes with their distance.
//
// A Tracker belongs to one assignment. When the partition is lost, it is thrown
// away, and with it every outcome that arrives late. It is not safe for
// concurrent use.
package tracker

import "sort"

// Tracker follows the records of one partition during one assignment.
type Tracker struct {
	// offsets received and not yet committed over, ascending, and whether each
	// is done. head is the index of the first that is not done.
	offsets []int64
	done    []bool
	head    int
	// next is the offset after the last received one.
	next int64
	// resumed says what the previous owner had finished and is not received again
	// yet, or not all of it.
	resumed Map
	// runs of done entries at or above head, kept as marks are set.
	runs       int
	unfinished int
}

// New returns the tracker of an assignment that starts at the committed offset,
// with the map of what was finished above it.
func New(committed int64, finished Map) *Tracker {
	return &Tracker{next: committed, resumed: finished}
}

// Receive notes a record. It reports false when the record needs no work:
// finished by the previous owner, or received before.
func (t *Tracker) Receive(offset int64) bool {
	if offset < t.next {
		return false
	}
	t.next = offset + 1
	finished := t.resumed.Contains(offset)
	for len(t.resumed) > 0 && t.resumed[0].To < t.next {
		t.resumed = t.resumed[1:]
	}
	t.append(offset, finished)
	return !finished
}

func (t *Tracker) append(offset int64, done bool) {
	last := len(t.offsets) - 1
	t.offsets = append(t.offsets, offset)
	t.done = append(t.done, done)
	if !done {
		t.unfinished++
		return
	}
	if last < t.head || !t.done[last] {
		t.runs++
	}
	t.advance()
}

// Done marks a record as finished. Marking it again, or one that was never
// received, changes nothing.
func (t *Tracker) Done(offset int64) {
	i := t.head + sort.Search(len(t.offsets)-t.head, func(i int) bool { return t.offsets[t.head+i] >= offset })
	if i == len(t.offsets) || t.offsets[i] != offset || t.done[i] {
		return
	}
	t.done[i] = true
	t.unfinished--
	left := i > t.head && t.done[i-1]
	right := i+1 < len(t.done) && t.done[i+1]
	switch {
	case left && right:
		t.runs--
	case !left && !right:
		t.runs++
	}
	t.advance()
}

// advance moves the head over finished records and lets go of them in blocks.
func (t *Tracker) advance() {
	if t.head < len(t.done) && t.done[t.head] {
		for t.head < len(t.done) && t.done[t.head] {
			t.head++
		}
		t.runs--
	}
	if t.head == len(t.offsets) {
		t.offsets, t.done, t.head = t.offsets[:0], t.done[:0], 0
		return
	}
	if t.head >= 4096 && t.head*2 >= len(t.offsets) {
		n := copy(t.offsets, t.offsets[t.head:])
		copy(t.done, t.done[t.head:])
		t.offsets, t.done, t.head = t.offsets[:n], t.done[:n], 0
	}
}

// Commit is the offset to commit: that of the first record not finished, or the
// one after the last that is known to be.
func (t *Tracker) Commit() int64 {
	if t.head < len(t.offsets) {
		return t.offsets[t.head]
	}
	if len(t.resumed) > 0 && t.resumed[0].From <= t.next {
		return t.resumed[0].To + 1
	}
	return t.next
}

// Window is how many received records lie at or above the commit offset: each
// costs one bit of the map.
func (t *Tracker) Window() int { return len(t.offsets) - t.head }

// Runs is how many separate runs of finished records were received above the
// commit offset: the map's size follows it. What the previous owner left and is
// not received yet does not count: only reading on makes it less.
func (t *Tracker) Runs() int { return t.runs }

// Unfinished is how many received records are not finished.
func (t *Tracker) Unfinished() int { return t.unfinished }

// Finished is the map of what is finished above the commit offset. A gap
// between two finished records counts as finished: it holds no record. What the
// previous owner had finished stays in it until it is received again: whoever
// owns the partition for a moment only hands the map on.
func (t *Tracker) Finished() Map {
	var m Map
	commit := t.Commit()
	for i := t.head; i < len(t.offsets); {
		if !t.done[i] {
			i++
			continue
		}
		j := i
		for j+1 < len(t.done) && t.done[j+1] {
			j++
		}
		m = append(m, Run{From: t.offsets[i], To: t.offsets[j]})
		i = j + 1
	}
	for _, run := range t.resumed {
		run.From = max(run.From, t.next)
		switch last := len(m) - 1; {
		case run.To < commit:
		case last >= 0 && m[last].To+1 == run.From:
			m[last].To = run.To
		default:
			m = append(m, run)
		}
	}
	return m
}
