// Package ofrep asks lifeboat's kill switches as applications do: with OpenFeature's
// own clients for servers (Node, Go) and pages, and with flagd's evaluator as the
// second opinion on every rule. It has tests only.
//
// The JavaScript clients are installed by scripts/npm; where they or Node are not
// there, the tests say so and are skipped.
package ofrep
