// Package validate says about a CDR in a file what the router would say, and
// beyond that what its JSON Schema finds.
//
// Three kinds of findings: a rejection (the router puts the record aside), a warning
// (the router delivers it, and shows the warning) and a schema finding (nobody
// minds, but a receiver that reads by the schema may be surprised).
package validate
