package client

// ExitPartly is the exit status when some of what was asked is done, and stays so,
// and the rest is not.
const ExitPartly = 3

// Partly is an error after which a part of the work is done.
func Partly(err error) error { return &ExitError{Code: ExitPartly, Err: err} }
