package dns

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// masterFile uses what a zone file can use (RFC 1035 section 5.1, RFC 2308 section
// 4, and BIND's $GENERATE).
const masterFile = `
$TTL 1h30m
@ IN SOA ns host\.master ( 2026010101 ; serial
      1d 2h 4w
      60 )
  NS ns
  NS ns.elsewhere.example.
ns 300 IN A 192.0.2.53
ns IN 300 AAAA 2001:db8::53
a\.b A 192.0.2.1
\097\098c TXT "semi;colon" "quo\"te" un\ quoted ( "more"
   "lines" )
      TXT second
*.wild MX 10 a
$ORIGIN sub.zone.example.
@ A 192.0.2.2
x A 192.0.2.3
$ORIGIN deeper
x CNAME y
$GENERATE 1-3 host$ A 192.0.2.$
$GENERATE 0-8/4 h${10,4,d} 120 CNAME t${0,2,x}.elsewhere.example.
$GENERATE 5-6 mx$ MX "10 host$"
$GENERATE 1-2 txt$ IN TXT text$
$INCLUDE inc.txt inner
after A 192.0.2.4
$INCLUDE inc.txt
$TTL 7
last A 192.0.2.5
generic TYPE1 \# 4 c0000206
`

const includedFile = `i A 192.0.2.9
$ORIGIN more
  TXT "still i"
$TTL 99
j A 192.0.2.10
`

// bindsText has BIND read a zone file, and gives the text that it writes of it.
func bindsText(t *testing.T, dir, apex, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	cmd := exec.Command(tool(t, "named-checkzone"), "-D", "-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", "-M", "ignore", "-S", "ignore", "-r", "ignore",
		"-s", "full", "-w", dir, "-o", out, apex, filepath.Join(dir, "zone"))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("named-checkzone: %v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// records are a zone's records, one a line, data in hexadecimal.
func records(z *zone.Zone) (lines []string) {
	for _, r := range z.Records() {
		lines = append(lines, fmt.Sprintf("%s %d %s %x", zone.Unpack(r.Owner), r.TTL, wire.Type(r.Type), bytes.ToLower(r.Data)))
	}
	slices.Sort(lines)
	return lines
}

func parsed(t *testing.T, apex, text string, includes map[string]string) *zone.Zone {
	t.Helper()
	z, err := zone.Parse(zone.Source{Apex: apex, File: "zone", Line: 1, Text: text, Includes: includes})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return z
}

// BIND reads a zone file as we do.
func TestZoneFileLikeBIND(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "inc.txt"), []byte(includedFile), 0o600); err != nil {
		t.Fatal(err)
	}
	includes, err := zone.Includes(os.DirFS(dir), masterFile, "zone")
	if err != nil {
		t.Fatal(err)
	}
	got := records(parsed(t, "zone.example.", masterFile, includes))
	want := records(parsed(t, "zone.example.", bindsText(t, dir, "zone.example.", masterFile), nil))
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("BIND has not %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("we have not %s", line)
		}
	}
	if len(got) < 30 {
		t.Errorf("only %d records", len(got))
	}
}

// unread are the types whose own form one side does not read.
var unread = map[string]bool{
	"MD": true, "MF": true, // obsolete, and refused
	"ATMA": true, "UINFO": true, "UID": true, "GID": true, "RESINFO": true, // BIND 9.18 knows the number alone
	"X25": true, "GPOS": true, // BIND writes quotes, which the wire library does not take here
	"NID": true, "L64": true, // BIND leaves leading zeros out, which the wire library wants
}

// The data of every type comes out of BIND as it comes out of our parser.
func TestEveryTypeLikeBIND(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile(filepath.Join("..", "..", "internal", "zone", "testdata", "types.txt"))
	if err != nil {
		t.Fatal(err)
	}
	head := "$TTL 60\n@ SOA ns.elsewhere.example. host 1 2 3 4 5\n@ NS ns.elsewhere.example.\n"
	var text strings.Builder
	text.WriteString(head)
	for i, line := range strings.Split(strings.TrimSpace(string(list)), "\n") {
		name, _, _ := strings.Cut(line, " ")
		if unread[name] {
			continue
		}
		fmt.Fprintf(&text, "x%d %s\n", i, line)
	}
	got := records(parsed(t, "zone.example.", text.String(), nil))
	want := records(parsed(t, "zone.example.", bindsText(t, t.TempDir(), "zone.example.", text.String()), nil))
	if !slices.Equal(got, want) {
		for i := range got {
			if i >= len(want) || got[i] != want[i] {
				t.Errorf("ours %s\nBIND %s", got[i], want[min(i, len(want)-1)])
			}
		}
	}
}
