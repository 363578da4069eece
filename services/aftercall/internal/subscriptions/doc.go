// Package subscriptions is `aftercall subscriptions`: webhooks kept in a file, in
// YAML or JSON, and brought into agreement with it over the API.
//
// What it guarantees: subscriptions are told apart by name; exporting and applying
// changes nothing; an exported file holds no secret, and one that is applied only
// names where secrets are; a field that is not known is refused, never ignored;
// every fault names file and line; nothing is changed before the plan was shown
// and agreed to, and nothing that somebody else changed since (If-Match); nothing
// is deleted without --prune. What was left undone is said, with a status of its
// own.
package subscriptions
