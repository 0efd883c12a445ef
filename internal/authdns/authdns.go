// Package authdns is the authoritative DNS server: zones compiled into a Table,
// the positions and serials in force as a View of it, and the UDP and TCP
// sockets that are answered from the one View in force.
//
// It reads no file, knows no snapshot and decides nothing: which position a site
// takes is ordered by whoever calls Set. It is no resolver and takes no updates. It makes
// no signature and holds no key that could: the answers of a signed zone carry what
// package signer has made ahead (PrepareSigned). Transfers and notifies it hands to Options.Peers (package xfr);
// without one, transfers are refused and notifies not implemented. Package answer,
// xfr, the zone commands and whoever opens the sockets may import it.
//
// Invariants: a query that was accepted gets one answer from one View, never a
// mixture; a name that follows a site has at least one address, or is an alias, in
// every View, because Compile refuses a position without; a flip costs as much as
// there are sites and zones, not names. Before the first View everything is
// answered SERVFAIL, so that resolvers ask another server. Nothing is parsed beyond
// the 12 octets of the header before these have been accepted, on UDP and TCP
// alike.
//
// Concurrency: a *Table and a *View are immutable. The methods of a *Server may
// be called from any goroutine; a query reads atomic pointers, each once, and
// takes no lock. The serving goroutines live inside Serve.
package authdns

// Types, classes, opcodes and response codes that are treated here (RFC 1035,
// 6891, 8482 and the IANA registry). All others are data.
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
	typeSRV   = 33
	typeDNAME = 39
	typeOPT   = 41
	typeDS    = 43
	typeRRSIG = 46
	typeNSEC  = 47
	typeSVCB  = 64
	typeHTTPS = 65
	typeTSIG  = 250
	typeIXFR  = 251
	typeAXFR  = 252
	typeANY   = 255

	classIN = 1

	opQuery  = 0
	opNotify = 4

	rcodeNoError  = 0
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4
	rcodeRefused  = 5
	rcodeYXDomain = 6
	rcodeBadVers  = 16
	rcodeBadCook  = 23
)

// Sizes in octets.
const (
	headerSize = 12
	optSize    = 11   // an OPT record without options
	maxName    = 255  // a name in wire form
	plainUDP   = 512  // the limit of an answer over UDP without EDNS
	ednsUDP    = 1232 // our limit with EDNS: fits any path without fragments
	maxMessage = 65535
)

// maxChain is as many CNAME and DNAME records as one answer follows.
const maxChain = 8

// name helpers: all names are in wire form.

// lower writes src to dst in lower case. A length octet is at most 63 and so no
// letter.
func lower(dst, src []byte) []byte {
	dst = append(dst[:0], src...)
	for i, c := range dst {
		if c-'A' < 26 {
			dst[i] = c | 0x20
		}
	}
	return dst
}

// sameFold compares two names without regard to the case of ASCII letters.
func sameFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// parent takes the leftmost label off; "" is above the root.
func parent(name string) string {
	if len(name) <= 1 {
		return ""
	}
	return name[1+int(name[0]):]
}

// nameEnd gives the length of the name that b begins with.
func nameEnd(b []byte) int {
	i := 0
	for b[i] != 0 {
		i += 1 + int(b[i])
	}
	return i + 1
}
