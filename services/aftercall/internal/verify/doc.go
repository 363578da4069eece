// Package verify is the core of the outside checker: it judges a run of Aftercall
// by what others saw of it, never by what Aftercall says of itself alone.
//
//	producer's log     what was acknowledged  ─┐
//	receivers' log     what was POSTed         ├─► Check ─► Report: counts, first offenders
//	committed records  of all topics           │
//	store              rows, where wanted     ─┘
//
// It is pure: no connection is made, nothing is waited for, no clock is read.
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
//	I11  the store says what the history and the receivers say
package verify
