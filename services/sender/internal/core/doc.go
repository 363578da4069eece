// Package core is the sender without its I/O: records go in, actions come out,
// and the time is told to it. It decides which delivery is sent next, which is
// put off, which ends without a request, and what may be committed.
//
//	Admit ──→ queued ──Next──→ Post ──Answered──→ settling ──Settled──→ done
//	            │                └──Abandoned──→ (given back with its partition)
//	            ├────Next────→ Divert ──────────→ settling
//	            ├────Next────→ End ─────────────→ settling
//	            └─ a copy of a record that is under way is parked, and done with it
//
// What it guarantees:
//
//   - One endpoint never holds up another. Each subscription has a queue of its
//     own, served in turn, within its own concurrency. When what is held grows
//     towards a limit and others are there, the one that holds more than its
//     fair share, or whose records have waited long, is put off to a delay topic.
//   - A backlog of one healthy subscription alone is never put off: taking in
//     more pauses instead.
//   - A record is done only when its outcome has been acknowledged; the commit
//     never passes one that is not.
//   - What arrives late from a lost partition changes nothing.
//
// A Core is not safe for concurrent use: the shell around it holds a lock.
package core
