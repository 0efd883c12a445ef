// Package e2e starts the real thing on loopback and does to it what a bad day
// does: processes are killed and stopped, disks fill up, files are damaged, ports
// are taken, receivers hang. All the while 500 DNS queries a second are checked
// answer by answer. People use it as they do: by the command line (Teller), by pages
// without scripts (Reader), by the API with a token (Person), and by a real browser.
//
// It has no code but tests. The test binary starts itself as lifeboat, so that
// what runs is exactly what package cli runs, and a crash can be asked for at a
// named point. Nothing but the processes' own sockets, files and signals is used.
// Where LIFEBOAT_SOAK is 1 each runs for as many rounds as it takes to believe it.
//
// Concurrency: tests run side by side, each with addresses and a folder of its
// own; a semaphore bounds how many boats are out at once.
package e2e
