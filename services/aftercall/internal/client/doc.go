// Package client is Aftercall's API for the command line: where it is, the token
// for it, and what its refusals mean to a person.
//
// What it guarantees: the token goes to the address that was given and is not
// taken along by a redirect, nor printed; a refusal becomes one sentence that
// names the field, and what to do about it where that is known; answers are read
// up to a bound.
package client
