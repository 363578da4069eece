// Package webhook is what goes over the wire, and nothing of how it gets there:
// signatures and secrets after Standard Webhooks 1.0.0, the headers of a
// request, which Additional Webhook Headers and which endpoints are acceptable,
// when a failed delivery is tried again, and what a Retry-After asks for.
//
// Everything here is a pure function of its arguments: time and randomness come
// in, no connection is made, no name is resolved. Whether an endpoint's address
// may be connected to is for package safedial, at the moment of connecting.
package webhook
