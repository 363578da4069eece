// Package admin is the administration service: the API under /api/v1, the
// console, and the publisher of subscriptions.
//
//	browser ── console ─┐                      ┌─ store: subscriptions (the truth), history (to read)
//	                    ├─ webhooks (one layer)┤
//	client ─── API ─────┘                      ├─ aftercall.subscriptions   each edit, acknowledged before it is answered
//	                                           ├─ aftercall.cdr.test        Send Test Webhook
//	                                           └─ aftercall.deliveries      Resend
//
// API and console hold no logic of their own: what they do stands once, in
// internal/webhooks. Router and senders never ask this service for anything:
// with it, or the database, down, webhooks still go out.
package admin
