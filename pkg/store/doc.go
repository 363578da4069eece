// Package store is what Aftercall remembers: subscriptions and their versions,
// events with what was decided about them, deliveries with their state, every
// attempt, rejected records, and who may use the console.
//
// What it guarantees:
//
//   - Projecting is idempotent. The same records projected twice, in any order
//     of topics and split into batches in any way, give the same rows. Offsets
//     move in the transaction that writes the rows, and only from the offset
//     that the projector believes to be the present one (ErrOffsetMoved).
//   - A delivery's state is the highest that any record about it has named:
//     delivered, then given_up and stopped, then waiting, then queued; among
//     equals the one after more attempts, then after more deferrals. No record
//     needs another to be there first.
//   - No text of others can stop it: NUL bytes, invalid UTF-8, oversized
//     identifiers and impossible times are made storable on the way in (Clean,
//     CleanID, CleanTime), and asked for in the same way.
//   - Lists are pages by key, newest first: a page never skips or repeats a row
//     because others were added meanwhile. Cursors are opaque and checked.
//
// One text of a query serves both databases; what differs (bulk writes, day
// partitions, locks, how a time is written) stands behind Engine, which the
// packages postgres and sqlite implement. This package links no driver.
package store
