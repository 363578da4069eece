// Package keyset is `aftercall keyset`: it makes the keyset that seals the secrets
// of webhooks, and shows which keys one holds. It never shows a key, but to where
// it was told to write one.
package keyset
