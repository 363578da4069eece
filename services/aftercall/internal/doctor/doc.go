// Package doctor looks at a deployment from the AFTERCALL_* variables of one of its
// services and says what is wrong with it, why it matters, and what to do.
//
//	settings ─► broker ─► security ─► versions, topics, keys, clocks, routers, groups
//	        └─► database ─► migrations        └─► ports, disk, admin
//
// What it guarantees: it changes nothing and joins no group; each finding names the
// variable or command that mends it; a check whose precondition failed says nothing
// of its own, so that one cause is one finding; no secret is printed.
package doctor
