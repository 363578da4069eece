// Package verify is the outside checker: it judges a run of Aftercall by what others
// saw of it, never by what Aftercall says of itself alone. Tests judge a run that has
// come to rest by [Check]; operators judge a span of time, while everything runs, by
// the [Command].
//
//	producer's log     what was acknowledged  ─┐
//	receivers' log     what was POSTed         ├─► Check ─► Report: counts, first offenders
//	committed records  of all topics           │
//	store              rows, where wanted     ─┘
//
// Check is pure: no connection is made, nothing is waited for, no clock is read.
//
// The Command looks up what the groups have committed first, and where the logs end
// then. What a group has finished is in the logs before it commits, so that a delivery
// without an end must have a record that no group has finished: it is on its way.
// Otherwise it is lost (I9). It keeps digests and no payloads, joins no group, and
// says of what it proves nothing.
//
// Invariants:
//
//	I1   every acknowledged CDR is one event, byte for byte, or one rejection
//	I2   each matched (event, subscription) has one delivery id, and no delivery comes from nowhere
//	I3   in a finished run every delivery has ended or waits, and what waits lies in a delay topic
//	I4   deliveries = ended + waiting + queued
//	I5   no delivered without a 2xx at the receiver; no 2xx there without its attempt
//	I6   no more repeated requests than the bound
//	I7   signatures verify; webhook-id and body are the event's, on every request
//	I8   no attempt before it was due, unless somebody sent what waits at once
//	I9   no group has committed past all records of a delivery that has not ended
//	I11  the store says what the history and the receivers say
package verify
