// Package lifecycle starts, watches and stops the parts of a process.
//
// It guarantees that a process never lives on with a part of it dead: Run
// cancels every part when the first one ends, waits for all of them, and says
// which one it was. Health tells the outside what is not ready yet and why;
// Signals turns SIGINT and SIGTERM into a cancelled context once, and into an
// immediate exit the second time.
package lifecycle
