// Package news holds the test of the whole way of a system event: an endpoint
// fails, the sender tells, the router routes, another webhook hears of it.
package news
