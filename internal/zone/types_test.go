package zone

import (
	"bytes"
	_ "embed"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// everyType has data for each type that a zone can hold, one a line.
//
//go:embed testdata/types.txt
var everyType string

// notHeld are types that no zone of ours holds: of questions and messages only
// (RFC 6895 section 3.1), signatures, and the SOA, of which there is one.
var notHeld = map[string]bool{
	"None": true, "NULL": true, "OPT": true, "TKEY": true, "TSIG": true, "IXFR": true, "AXFR": true, "MAILB": true, "MAILA": true, "ANY": true,
	"NXNAME": true, "Reserved": true, "RRSIG": true, "SIG": true, "NSEC": true, "NSEC3": true, "NSEC3PARAM": true, "SOA": true,
}

// Each type that the wire library knows can be written in a zone, in its own form
// and in that of RFC 3597, and comes back from the text that is written of it.
func TestEveryType(t *testing.T) {
	t.Parallel()
	held := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(everyType), "\n") {
		name, _, _ := strings.Cut(line, " ")
		held[name] = true
		data := onlyRecord(t, line)
		if again := onlyRecord(t, textOf(t, line)); !bytes.Equal(again, data) {
			t.Errorf("%s: %x came back as %x", name, data, again)
		}
	}
	for _, name := range dns.TypeToString {
		if !held[name] && !notHeld[name] {
			t.Errorf("type %s is in no list", name)
		}
		if held[name] && notHeld[name] {
			t.Errorf("type %s is in both lists", name)
		}
	}
}

// parsedLine parses a zone with one record of its own.
func parsedLine(t *testing.T, line string) Record {
	t.Helper()
	z, err := Parse(source("x " + line + "\n"))
	if err != nil {
		t.Errorf("%s: %v", line, err)
		return Record{}
	}
	for _, r := range z.Records() {
		if strings.HasPrefix(r.Owner, "\x01x") {
			return r
		}
	}
	t.Fatalf("%s: no record, warnings %q", line, z.Warnings())
	return Record{}
}

func onlyRecord(t *testing.T, line string) []byte {
	t.Helper()
	return parsedLine(t, line).Data
}

// textOf is what the record is written as, without owner, TTL and class.
func textOf(t *testing.T, line string) string {
	t.Helper()
	fields := strings.SplitN(parsedLine(t, line).String(), "\t", 4)
	return fields[3]
}
