// Package dns asks our name server and four others the same questions about the
// same zones, and compares the answers: BIND, Knot, NSD and PowerDNS from Debian's
// packages, each started by the test on loopback, on free ports and in a folder of
// its own. Zones and questions are made by chance from a seed that is told.
//
// What most of the four say is right; where we differ on purpose the reason is
// written down beside the rule (deliberate). It has no code but tests. Where
// LIFEBOAT_SOAK is 1 there are 10,000 questions, else some hundreds; LIFEBOAT_SEED
// repeats a run.
//
// Concurrency: the servers serve all tests; each test asks from one goroutine.
package dns
