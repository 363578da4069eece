// Package secret seals the secrets of subscriptions: signing secrets and header
// values. Only admin and senders hold the keyset, and projectors for the digests of
// what was erased; topics, database, router and backups see cipher text.
//
// Guarantees: what was sealed for one field of one subscription opens for that
// field of that subscription only (AES-256-GCM with both as associated data);
// nothing here logs or prints a key or a plain value, and no error contains one.
//
// A keyset (Tink's JSON format) holds one or more keys: the primary one seals,
// each of them opens. A rotation adds a key everywhere (WithNewKey), then makes it
// the primary one (WithPrimary), then seals everything again (Reseal), then drops
// the old one (WithoutKey). SealedWith tells what is left to do.
package secret
