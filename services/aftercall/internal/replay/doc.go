// Package replay is `aftercall replay`: events of the past, sent once more.
//
// Over the API it plans, runs and cancels what admin carries out. With --topic it
// needs Kafka alone: it reads deliveries, once for each event and webhook, leaves
// out what the history topic says was delivered or still waits, and produces the
// rest to aftercall.deliveries, as attempt 1. Its place is kept in a local file
// after the acknowledgements, so that a run that was interrupted goes on with
// `aftercall replay resume FILE`; ids are digests, so that going on makes none of
// its own.
package replay
