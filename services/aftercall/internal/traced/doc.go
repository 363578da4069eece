// Package traced holds the test that a call is one trace, from its CDR to the
// webhook, over router and sender.
package traced
