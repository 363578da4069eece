// Package sender delivers: it takes deliveries from Kafka, POSTs each until it
// is taken or given up, and writes down every attempt. Many senders share the
// work as one consumer group.
//
//	aftercall.deliveries ─→ engine ─→ core (queues, fair shares) ─→ post ─→ endpoint
//	        ↑                  │
//	        │                  ├─→ aftercall.history               every attempt, and what is put off
//	        │                  ├─→ …deliveries.delay.*             failed, to be tried again
//	        │                  └─→ …deliveries.given-up            exhausted
//	        └──── mover ←──────────  …deliveries.delay.*           when due
//
// A sender needs Kafka only. It delivers at least once: receivers recognise the
// rare repeat by webhook-id.
package sender
