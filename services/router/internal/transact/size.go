package transact

// Bounds of one transaction.
const (
	maxOutputRecords = 20_000
	maxOutputBytes   = 64 << 20
	maxInputs        = 10_000
	firstInputs      = 500
)

// size decides how many records the next batch may take. What a record becomes
// is known only once it is routed, so it estimates from the batches before; a
// batch that outgrows the bounds all the same is given back and taken in smaller
// parts. A failed batch is halved, down to a single record, which tells a broken
// record from a broken batch; each success doubles.
type size struct {
	limit int
	// output of one input, as seen lately
	records, bytes float64
}

func newSize() size { return size{limit: firstInputs} }

func (s *size) next() int {
	n := s.limit
	if s.records > 0 {
		n = min(n, int(maxOutputRecords/s.records))
	}
	if s.bytes > 0 {
		n = min(n, int(maxOutputBytes/s.bytes))
	}
	return max(1, n)
}

// committed learns from a batch that went through.
func (s *size) committed(inputs, records int, bytes int64) {
	if inputs == 0 {
		return
	}
	s.records = blend(s.records, float64(records)/float64(inputs))
	s.bytes = blend(s.bytes, float64(bytes)/float64(inputs))
	s.limit = min(maxInputs, 2*s.limit)
}

// blend rises at once and falls slowly: a burst must not be underestimated.
func blend(old, seen float64) float64 {
	if seen >= old {
		return seen
	}
	return 0.9*old + 0.1*seen
}

// failed takes a batch of so many inputs that was aborted.
func (s *size) failed(inputs int) { s.limit = max(1, min(s.limit, inputs)/2) }

// overflowed takes a batch of which only so many inputs fitted.
func (s *size) overflowed(fitted int) { s.limit = max(1, fitted) }

// outgrown says that a batch's output is over the bounds.
func outgrown(records int, bytes int64) bool {
	return records > maxOutputRecords || bytes > maxOutputBytes
}
