// Package docs holds the tests of what is written: README, tutorial, how-tos and
// reference are played against the real binary, and looked through for what is
// missing.
//
// It has no code but tests. A shell block is run when the comment above it says so:
//
//	<!-- docs: run -->                    in a demo that was started for the document
//	<!-- docs: run, exit 3 -->            and must end with that code
//	<!-- docs: run, once seen up -->      as soon as the demo's main shop is seen so
//	<!-- docs: run, once seen down -->    as soon as it is, and a lever is proposed
//	<!-- docs: run, once in review -->    as soon as the open incident's phase is that
//	<!-- docs: run, once told -->         as soon as the demo's status page tells of an incident
//	<!-- docs: skip: why -->
//
// A line that ends in "# → text" must write that text. Usual ports stand for the
// demo's own. Every shell block has one of these comments, so that none is passed
// over by accident; commands in blocks that are skipped must exist all the same.
//
// Concurrency: each document has a demo of its own.
package docs
