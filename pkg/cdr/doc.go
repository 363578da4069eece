// Package cdr turns what an upstream put on a CDR topic into an identified call
// detail record, or says why it cannot be one. It knows no transport, no store
// and no logger.
//
// What it guarantees:
//
//   - Decode refuses only what cannot be a CDR (see the codes); every other
//     deviation from the schemas becomes a warning, and the value is delivered
//     byte for byte as produced.
//   - The same record gives the same EventID, wherever and however often it is
//     decoded; a field that Decode does not know never changes the outcome.
//   - Time and memory grow linearly with the value, whatever is in it. Nothing
//     recurses. Nesting beyond MaxDepth is refused, as RFC 8259 section 9 lets
//     an implementation do: no usual parser of a receiver would read it.
//   - What is extracted (CallID, OUPath, headers …) is valid UTF-8 without NUL
//     and of bounded length, so that any store and any index can hold it.
//   - Neither a reason nor a warning repeats a value: they are safe to log.
//
// Where a name stands twice in the object, the last one counts, as it does for
// JSON.parse, Python and encoding/json. The same holds for record headers.
package cdr
