// Package services is each service as a command, `aftercall router` and so on, and
// their settings: `aftercall config`.
//
// What it guarantees: a service begun here is the same as its own binary, by the
// same code, settings, signals and exit statuses; settings are shown as they take
// effect, with where each came from and no secret.
package services
