// Package listen is the sample receiver: it takes webhooks on this machine,
// verifies their signatures, shows what came, and can misbehave on purpose.
// `aftercall listen` is it, and `aftercall dev` has one inside.
//
//	/ok         200
//	/flaky      503 with Retry-After: 1 to the first request of each webhook-id, then 200
//	/broken     500
//	/slow?ms=N  200 after N milliseconds
//	any other   200
//
// Guarantee: a request is in the log (Options.Log) before it is answered. What the
// sender saw answered is there, even if the receiver is killed in the next moment;
// a request whose sender gave up waiting is there with status 0.
package listen
