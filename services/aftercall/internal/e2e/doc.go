// Package e2e tests Aftercall from outside: its real binaries as processes of their
// own, killed, ended and started again, judged by package verify.
//
// What is real: the binaries, their settings by AFTERCALL_* variables, signals, the
// network on loopback, the Kafka protocol, the store. Tests run on the embedded
// broker (in the test's process, with its data in a folder) with SQLite, and the
// same bodies on the Kafka and PostgreSQL of `make real-up`.
//
// What is doubled: call processing (a producer that logs what was acknowledged) and
// the customers' systems (package listen, which logs each request before it answers).
//
// What may be asserted: what producers, receivers, committed records and the store
// say. No order, and no time but deadlines.
package e2e
