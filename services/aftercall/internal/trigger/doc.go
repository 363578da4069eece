// Package trigger produces one CDR: the sample of an event type, with edits.
//
// The CDR gets a CallId and a ScenarioId of its own ("sample-" and random letters)
// and ends now, unless the edits say otherwise; so each call of `aftercall trigger`
// is a new event. What the router would reject is refused before it is sent. A CDR
// from a file without edits is sent byte for byte.
package trigger
