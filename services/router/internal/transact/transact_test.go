package transact

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/router/internal/route"
)

func TestAFailedBatchIsHalvedDownToOneAndGrowsAgain(t *testing.T) {
	s := newSize()
	for n := s.next(); n > 1; n = s.next() {
		s.failed(n)
		if s.next() > n/2 {
			t.Fatalf("after a failure of %d the next takes %d", n, s.next())
		}
	}
	s.failed(1)
	if s.next() != 1 {
		t.Errorf("one becomes %d", s.next())
	}
	for range 20 {
		s.committed(s.next(), s.next(), 100)
	}
	if s.next() != maxInputs {
		t.Errorf("grows to %d", s.next())
	}
}

func TestABatchKeepsToTheBoundsOfItsOutput(t *testing.T) {
	s := newSize()
	s.committed(100, 100*501, 100*501*10)
	if n := s.next(); n*501 > maxOutputRecords {
		t.Errorf("%d inputs of 501 records", n)
	}
	s = newSize()
	s.committed(10, 20, 10*2<<20)
	if n := s.next(); n*2<<20 > maxOutputBytes {
		t.Errorf("%d inputs of 2 MiB", n)
	}
	s.committed(1, 1001, 1001<<20)
	if n := s.next(); n != 1 {
		t.Errorf("%d inputs of 1 GiB", n)
	}
}

func TestABurstIsNotForgottenAtOnce(t *testing.T) {
	s := newSize()
	s.committed(1, 1000, 1000)
	s.committed(1, 1, 1)
	if n := s.next(); n > 2*maxOutputRecords/1000 {
		t.Errorf("the next batch takes %d", n)
	}
}

func at(offset int64) *kgo.Record { return &kgo.Record{Topic: "t", Partition: 1, Offset: offset} }

func event(id string) route.Outcome {
	return route.Outcome{Event: &aftercallv1.Event{EventId: id}, Deliveries: []*aftercallv1.Delivery{{}}}
}

func TestARepeatIsKnownWithinItsBatchAndAfterTheCommit(t *testing.T) {
	r := newRepeats()
	r.note(at(5), event("e"))
	if f := r.first(at(6), "e"); f == nil || f.Position.GetOffset() != 5 || !f.Delivered {
		t.Errorf("within the batch: %v", f)
	}
	r.commit()
	if f := r.first(at(9), "e"); f == nil || f.Position.GetOffset() != 5 {
		t.Errorf("after the commit: %v", f)
	}
	if f := r.first(&kgo.Record{Topic: "t", Partition: 2, Offset: 9}, "e"); f != nil {
		t.Errorf("in another partition: %v", f)
	}
}

func TestWhatWasAbortedHasNotHappened(t *testing.T) {
	r := newRepeats()
	r.note(at(5), event("e"))
	r.abort()
	if f := r.first(at(6), "e"); f != nil {
		t.Errorf("known: %v", f)
	}
}

func TestARecordReadAgainIsNoRepeatOfItself(t *testing.T) {
	r := newRepeats()
	r.note(at(5), event("e"))
	r.commit()
	for _, offset := range []int64{4, 5} {
		if f := r.first(at(offset), "e"); f != nil {
			t.Errorf("offset %d: %v", offset, f)
		}
	}
}
