// Package importer is `aftercall import`: it makes webhooks of the subscriptions
// of another system.
//
//	rows (JSON or CSV) ──► plan ──► printed           (--dry-run, the default)
//	                            └─► POST subscriptions (--execute)
//
// What it guarantees: nothing is changed without --execute; a subscription that
// was imported before, told by the id in its name, is not imported again; what
// cannot be taken over as it is, is said, row by row, before anything is created;
// no secret and no value of a header is ever printed.
package importer
