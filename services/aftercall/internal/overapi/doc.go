// Package overapi holds the commands that ask a running Aftercall over its API:
// attempts, explain, login, resend and test. Explain also answers from Kafka alone.
//
// What it guarantees: JSON lines in a pipe are the API's own objects; text for
// people holds no control characters of what others wrote; a command that asked
// for something that did not come about fails. What is read from Kafka joins no
// group, and what is kept of it has a bound.
package overapi
