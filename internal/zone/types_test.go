package zone

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// everyType has data for each type that a zone can hold.
const everyType = `
A 192.0.2.1
NS ns.example.net.
MD m.example.net.
MF m.example.net.
MB m.example.net.
MG m.example.net.
MR m.example.net.
PTR p.example.net.
HINFO "cpu" "os"
MINFO r.example.net. e.example.net.
MX 10 m.example.net.
TXT "a \"b\" \\ \200" "c"
RP a.example.net. b.example.net.
AFSDB 1 a.example.net.
X25 311061700956
ISDN "150862028003217" "004"
RT 10 r.example.net.
NSAP-PTR n.example.net.
KEY 256 3 13 AQID
PX 10 a.example.net. b.example.net.
GPOS -32.6882 116.8652 10.0
AAAA 2001:db8::1
LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
NXT n.example.net.
EID e32c6f78163a9348
NIMLOC 32251a030067
SRV 0 5 5060 s.example.net.
ATMA \# 2 0102
NAPTR 100 50 "s" "z3950+I2L+I2C" "" a.example.net.
KX 10 k.example.net.
CERT 1 12345 8 AQID
DNAME d.example.net.
APL 1:192.0.2.0/24 !2:2001:db8::/32
DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
SSHFP 4 2 0102030405060708091011121314151617181920212223242526272829303132
IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==
DNSKEY 257 3 13 AQID
DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=
TLSA 3 1 1 0102030405060708091011121314151617181920212223242526272829303132
SMIMEA 3 1 1 0102030405060708091011121314151617181920212223242526272829303132
HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D r.example.net.
NINFO "status"
RKEY 0 3 13 AQID
TALINK a.example.net. b.example.net.
CDS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
CDNSKEY 257 3 13 AQID
OPENPGPKEY AQID
CSYNC 66 3 A NS AAAA
ZONEMD 2018031900 1 1 616c6c6f77656420627574206e6f742076616c6964616e642d6469676573742d6f662d746865207a6f6e65206461746100
SVCB 1 s.example.net. alpn="h2,h3" port="8443" mandatory="alpn"
HTTPS 1 . alpn="h2" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1" ech="AQID" key65280="x"
SPF "v=spf1 -all"
UINFO "who"
UID 7
GID 7
UNSPEC \# 1 00
NID 10 0014:4fff:ff20:ee64
L32 10 10.1.2.0
L64 10 2001:0db8:1140:1000
LP 10 l.example.net.
EUI48 00-00-5e-00-53-2a
EUI64 00-00-5e-ef-10-00-00-2a
URI 10 1 "https://www.example.net/"
CAA 0 issue "ca.example.net"
AVC "app"
AMTRELAY 10 0 1 192.0.2.1
RESINFO qnamemin exterr=15-17
TA 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
DLV 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
CNAME c.example.net.
TYPE65280 \# 3 010203
TYPE65281 \# 0
`

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
