// Package safedial connects to endpoints that users named, and to public
// addresses only. It is the one dialer of every request that Aftercall sends on
// a user's word.
//
// Guarantee: no connection is made to an address that the policy denies, however
// it was written, looked up or redirected to. The check stands in the dialer's
// control hook, between the name's lookup and the connection, on the very address
// that the kernel is about to connect to: a name that answers differently each
// time finds no gap. A name is refused as a whole as soon as one of its addresses
// is denied, so that the answer does not depend on which of them is tried first.
//
// A denial is a *DeniedError (errors.Is ErrDenied): it says what kind of address
// it is and what the operator could allow.
package safedial
