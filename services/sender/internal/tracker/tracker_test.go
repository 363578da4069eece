package tracker

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is the tracker in its most naive form.
type model struct {
	committed int64
	received  []int64
	done      map[int64]bool
}

func (m *model) commit() int64 {
	for _, o := range m.received {
		if !m.done[o] {
			return o
		}
	}
	if len(m.received) > 0 {
		return m.received[len(m.received)-1] + 1
	}
	return m.committed
}

func TestCommitNeverGoesBackNorPassesUnfinishedWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1000).Draw(t, "start")
		tr := New(start, nil)
		m := &model{committed: start, done: map[int64]bool{}}
		next, last := start, start
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "receive") || len(m.received) == 0 {
				next += rapid.Int64Range(0, 3).Draw(t, "gap")
				if !tr.Receive(next) {
					t.Fatalf("a new offset %d needs work", next)
				}
				m.received = append(m.received, next)
				next++
			} else {
				o := rapid.SampledFrom(m.received).Draw(t, "done")
				tr.Done(o)
				m.done[o] = true
			}
			got := tr.Commit()
			if got != m.commit() {
				t.Fatalf("commit %d, want %d", got, m.commit())
			}
			if got < last {
				t.Fatalf("commit went back from %d to %d", last, got)
			}
			last = got
			finished := tr.Finished()
			if tr.Runs() != len(finished) {
				t.Fatalf("counts %d runs, has %d", tr.Runs(), len(finished))
			}
			unfinished := 0
			for _, o := range m.received {
				if !m.done[o] {
					unfinished++
				}
				if o >= got && finished.Contains(o) != m.done[o] {
					t.Fatalf("map says %v of %d, want %v", finished.Contains(o), o, m.done[o])
				}
			}
			if tr.Unfinished() != unfinished {
				t.Fatalf("%d unfinished, want %d", tr.Unfinished(), unfinished)
			}
		}
	})
}

func TestTheNextOwnerRepeatsNothingThatTheMapNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := New(0, nil)
		offsets := rapid.SliceOfNDistinct(rapid.Int64Range(0, 400), 1, 120, rapid.ID[int64]).Draw(t, "offsets")
		slices.Sort(offsets)
		done := map[int64]bool{}
		for _, o := range offsets {
			tr.Receive(o)
			if rapid.Bool().Draw(t, "done") {
				tr.Done(o)
				done[o] = true
			}
		}
		committed := tr.Commit()
		m, err := DecodeMap(committed, tr.Finished().Encode(committed))
		if err != nil {
			t.Fatal(err)
		}
		next := New(committed, m)
		for _, o := range offsets {
			if o < committed {
				continue
			}
			if work := next.Receive(o); work == done[o] {
				t.Fatalf("offset %d: work %v, done before %v", o, work, done[o])
			}
		}
		if next.Commit() != committed && next.Unfinished() > 0 {
			t.Fatalf("the next owner starts at %d, not %d", next.Commit(), committed)
		}
	})
}

// Partitions change hands faster than their records are read again: what any
// owner before had finished is work for none of the next.
func TestOwnersOfAMomentHandTheMapOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offsets := rapid.SliceOfNDistinct(rapid.Int64Range(0, 400), 1, 120, rapid.ID[int64]).Draw(t, "offsets")
		slices.Sort(offsets)
		done := map[int64]bool{}
		committed, metadata := int64(0), ""
		for range rapid.IntRange(2, 6).Draw(t, "owners") {
			m, err := DecodeMap(committed, metadata)
			if err != nil {
				t.Fatal(err)
			}
			tr := New(committed, m)
			reads := rapid.IntRange(0, len(offsets)).Draw(t, "reads")
			for _, o := range offsets {
				if o < committed {
					if !done[o] {
						t.Fatalf("offset %d is committed over and not done", o)
					}
					continue
				}
				if reads--; reads < 0 {
					break
				}
				if work := tr.Receive(o); work == done[o] {
					t.Fatalf("offset %d: work %v, done before %v", o, work, done[o])
				}
				if rapid.Bool().Draw(t, "done") {
					tr.Done(o)
					done[o] = true
				}
			}
			if now := tr.Commit(); now < committed {
				t.Fatalf("the commit went back from %d to %d", committed, now)
			}
			committed = tr.Commit()
			metadata = tr.Finished().Encode(committed)
		}
	})
}

func TestAnOffsetReceivedTwiceIsWorkOnce(t *testing.T) {
	tr := New(10, nil)
	if !tr.Receive(10) || tr.Receive(10) {
		t.Fatal("received again")
	}
	tr.Done(10)
	tr.Done(10)
	tr.Done(99)
	if tr.Commit() != 11 || tr.Window() != 0 {
		t.Fatalf("commit %d, window %d", tr.Commit(), tr.Window())
	}
}

func TestAMapTooLargeIsCutAtItsEnd(t *testing.T) {
	var m Map
	for i := range int64(5000) {
		m = append(m, Run{From: 1 + i*3, To: 1 + i*3})
	}
	text := m.Encode(0)
	if len(text) > MaxMetadata {
		t.Fatalf("%d bytes", len(text))
	}
	got, err := DecodeMap(0, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < MaxRuns || !slices.Equal(got, m[:len(got)]) {
		t.Fatalf("%d runs came back", len(got))
	}
}

func TestMetadataOfOthersIsNoMap(t *testing.T) {
	for _, s := range []string{"member-1", "aftercall2:AQE", prefix + "%", prefix + "gA", prefix + "AAE", prefix + "AQ",
		prefix + strings.Repeat("/", 26) + "AQ"} {
		if m, err := DecodeMap(5, s); !errors.Is(err, ErrMap) {
			t.Errorf("%q: %v, %v", s, m, err)
		}
	}
	if m, err := DecodeMap(5, ""); err != nil || m != nil {
		t.Errorf("no metadata: %v, %v", m, err)
	}
}

func FuzzDecodeMap(f *testing.F) {
	f.Add(int64(0), Map{{From: 3, To: 9}}.Encode(0))
	f.Add(int64(1<<62), prefix+"//////////8BAQ")
	f.Fuzz(func(t *testing.T, committed int64, s string) {
		if committed < 0 {
			return
		}
		m, err := DecodeMap(committed, s)
		if err != nil {
			return
		}
		at := committed
		for _, r := range m {
			if r.From <= at || r.To < r.From {
				t.Fatalf("unsound map %v above %d", m, committed)
			}
			at = r.To
		}
		back, err := DecodeMap(committed, m.Encode(committed))
		if err != nil || len(m.Encode(committed)) < MaxMetadata-30 && !slices.Equal(back, m) {
			t.Fatalf("%v, %v", back, err)
		}
	})
}
