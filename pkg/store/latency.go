package store

import (
	"math"
	"time"
)

// NoLatency is the bucket of an attempt without a request.
const NoLatency = -1

// bucketsPerDoubling makes a bucket about 9 % wide.
const bucketsPerDoubling = 8

// LatencyBucket is the number of the histogram bucket for a duration. Buckets
// grow by the eighth root of two from a millisecond on.
func LatencyBucket(d time.Duration) int32 {
	ms := float64(d) / float64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	return int32(min(math.Ceil(math.Log2(ms)*bucketsPerDoubling-1e-9), 30*bucketsPerDoubling))
}

// bucketTop is the longest duration of a bucket.
func bucketTop(b int32) time.Duration {
	return time.Duration(math.Exp2(float64(b)/bucketsPerDoubling) * float64(time.Millisecond))
}
