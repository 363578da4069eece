// Package cat prints records of Aftercall's topics as JSON lines, for people who
// look at Kafka itself.
//
// What it guarantees: of a CDR, the properties that can hold data about a person
// (marked so in the schemas) are masked at any depth, and what is not JSON is not
// shown at all; sealed secrets, bodies of answers, queries of URLs and cookies are
// not shown; it joins no group and commits nothing; it shows what is committed
// only.
package cat
