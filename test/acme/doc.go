// Package acme has a real authority, Pebble, make certificates for a running lifeboat:
// proofs go through its own name server, and visitors meet them at its standby.
//
// It has no code but tests. Pebble runs inside the test's process.
//
// Concurrency: each test has a lifeboat, an authority and a production of its own.
package acme
