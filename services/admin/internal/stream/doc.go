// Package stream tells people what the senders do while they do it: attempts,
// deferrals and changes of endpoints, as server-sent events.
//
// What it guarantees:
//
//   - Kafka is read once a process, however many listen, and only while somebody
//     does.
//   - The id of an event names the place in every partition of the history. Who
//     comes back with it gets what followed, all of it and each once: from memory
//     when it is there, else from Kafka.
//   - What is left out is said: an event "gap" counts it and names the reason.
//   - Nothing grows with a slow listener. It keeps a place, not a queue; what it
//     cannot take in time is counted and left out.
//   - A stream ends when its token or session does, and when the process does.
//   - It shows what the list of attempts shows: no record's content, no header,
//     no answer, and nothing that was erased.
package stream
