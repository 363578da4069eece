// Package rehearsal plays the whole pipeline on a fake clock: the embedded
// broker on a virtual network, router and senders by their own Run, days of
// retries in a second. Seeded plans cut members off, make the broker answer with
// errors, and give endpoints every temper; the outside checker judges.
//
// Real: Kafka's protocol, transactions, groups, offsets; every line of the
// services. Doubled: the network beneath the broker, HTTP's transport, time.
package rehearsal
