// Package xfr exchanges zones with BIND, Knot, NSD and PowerDNS from Debian's packages:
// ours go to them, and a failover has to be seen there; theirs come to us. Each is
// started by the test on loopback, on free ports and in a folder of its own.
//
// It has no code but tests. How long a failover took to be seen is told, never asserted.
//
// Concurrency: each test has servers of its own.
package xfr
