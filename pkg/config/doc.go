// Package config reads the settings of a service from AFTERCALL_* variables.
//
// It guarantees that a misspelt setting is never silently ignored: a name that
// no service knows is an error with a suggestion. Every variable X can also be
// given as X_FILE, the path of a file that holds the value (for mounted
// secrets). Values of secret variables appear neither in errors nor in Print.
//
// A setting is declared twice on purpose: as a field of its service's Config
// (key, type and default, in the tags of caarlos0/env) and as a row in
// variables.go (what it means, for people). Load refuses a field without a row,
// and docs/configuration.md is generated from both.
package config
