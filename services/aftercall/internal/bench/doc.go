// Package bench measures the pipeline against the bare ceiling in the same run:
// how many deliveries a second arrive, what they cost, and how that compares
// with a plain loop of signed POSTs to the same receiver on the same machine.
//
// Absolute figures depend on the machine; the ratios are what it is for. What is
// counted is counted at the receiver, a process of its own, and the clock stops
// when the history is in the store.
package bench
