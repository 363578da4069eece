// Package replay sends events of the past to webhooks once more, as they are now.
//
//	          Start            end reached
//	planned ────────▶ running ─────────────▶ done
//	   │               │  │  ▲
//	   │        Cancel │  │  │ Start
//	   └───────────────┤  ▼  │
//	                   │ failed   Kafka refuses for good
//	                   ▼
//	               cancelled      Start: goes on where it was
//
// Two modes:
//
//   - recover takes deliveries that ended without success (given_up, stopped) and
//     were first queued in a span of time;
//   - backfill takes the events of calls that ended in a span of time and matches
//     them again: event type, OU scope and filter of the webhook as it is now.
//
// What it guarantees:
//
//   - A plan counts and sends nothing.
//   - An event goes to a webhook at most once by a replay: the delivery's id is a
//     digest of event, webhook and replay. A runner that is killed and resumed may
//     produce a record again, under the same id, never another one.
//   - The cursor is saved after Kafka has acknowledged and the rows are there. A
//     runner that lost its place to another one saves nothing.
//   - What still waits for an attempt is skipped, and so is what was delivered
//     meanwhile, by whatever way.
//   - One runner a deployment (a lock of the store). Cancelling counts within a
//     second.
package replay
