// Package tail is `aftercall tail`: attempts as they happen, from the API's live
// stream or from the history topic itself.
//
// What it guarantees: each attempt is printed once, and none is missed while a
// connection is lost and found again; what a stream leaves out is said. A line
// holds what the list of attempts holds: no record's content, no header, no
// answer. Nothing is committed and no group joined.
package tail
