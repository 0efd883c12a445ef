package zonediff

import (
	"strings"
	"testing"

	"lifeboat/internal/zone"
)

const base = `$ORIGIN example.com.
$TTL 300
@    3600 IN SOA ns1 hostmaster 7 3600 600 86400 60
@    IN NS ns1
ns1  IN A 192.0.2.1
www  3600 IN A 192.0.2.2
www  3600 IN A 192.0.2.3
mail IN A 192.0.2.4
text IN TXT "one two" "Three"
@    IN MX 10 mail
`

func mustZone(t testing.TB, text string) *zone.Zone {
	t.Helper()
	z, err := zone.Check(text, "example.com.zone")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestCompare(t *testing.T) {
	t.Parallel()
	serial := func(s string) [2]string { return [2]string{" 7 3600", " " + s + " 3600"} }
	for name, tc := range map[string]struct {
		edits    [][2]string
		summary  string
		changes  []string // name type kind old|new
		warnings []string // a part of each
	}{
		"equal": {summary: "Nothing differs; the serial is 7."},
		"order and case of names are nothing": {
			edits:   [][2]string{{"www  3600 IN A 192.0.2.2\nwww  3600 IN A 192.0.2.3", "www 3600 IN A 192.0.2.3\nWWW 3600 IN A 192.0.2.2"}, {"MX 10 mail", "MX 10 MAIL"}},
			summary: "Nothing differs; the serial is 7.",
		},
		"case of texts is something": {
			edits:   [][2]string{{"Three", "three"}, serial("8")},
			summary: "1 name changes; the serial grows from 7 to 8.",
			changes: []string{`text.example.com. TXT data "one two" "Three"|"one two" "three"`},
		},
		"only the serial": {edits: [][2]string{serial("8")}, summary: "No record set differs; the serial grows from 7 to 8."},
		"one address of two, kept long": {
			edits: [][2]string{{"192.0.2.3", "192.0.2.9"}, serial("8")}, summary: "1 name changes; the serial grows from 7 to 8.",
			changes:  []string{"www.example.com. A data 192.0.2.3|192.0.2.9"},
			warnings: []string{"www.example.com. A: resolvers may keep the old answer for 1 h."},
		},
		"a TTL alone": {
			edits: [][2]string{{"mail IN", "mail 60 IN"}, serial("8")}, summary: "1 name changes; the serial grows from 7 to 8.",
			changes: []string{"mail.example.com. A ttl |"},
		},
		"gone, new and changed": {
			edits:   [][2]string{{"text IN", "note IN"}, {"192.0.2.4", "192.0.2.5"}, serial("8")},
			summary: "1 name changes, 1 goes away, 1 is new; the serial grows from 7 to 8.",
			changes: []string{"mail.example.com. A data 192.0.2.4|192.0.2.5", `note.example.com. TXT added |"one two" "Three"`, `text.example.com. TXT removed "one two" "Three"|`},
		},
		"serial not moved": {
			edits: [][2]string{{"192.0.2.4", "192.0.2.5"}}, summary: "1 name changes; the serial stays at 7.",
			changes: []string{"mail.example.com. A data 192.0.2.4|192.0.2.5"}, warnings: []string{"secondaries will not fetch them. Give it 8."},
		},
		"serial moved back": {
			edits: [][2]string{serial("6")}, summary: "No record set differs; the serial goes back from 7 to 6.",
			warnings: []string{"Give it 8 or more."},
		},
		"serials 2^31 apart": {
			edits: [][2]string{serial("2147483655")}, summary: "No record set differs; the serial jumps from 7 to 2147483655.",
			warnings: []string{"2^31 apart"},
		},
		"another SOA": {
			edits: [][2]string{{"86400 60", "86400 30"}, serial("8")}, summary: "1 name changes; the serial grows from 7 to 8.",
			changes: []string{"example.com. SOA data ns1.example.com. hostmaster.example.com. 7 3600 600 86400 60|ns1.example.com. hostmaster.example.com. 8 3600 600 86400 30"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := base
			for _, e := range tc.edits {
				if !strings.Contains(text, e[0]) {
					t.Fatalf("the zone lacks %q", e[0])
				}
				text = strings.Replace(text, e[0], e[1], 1)
			}
			d, err := Compare(mustZone(t, base), mustZone(t, text))
			if err != nil {
				t.Fatal(err)
			}
			if d.Summary != tc.summary {
				t.Errorf("summary %q, want %q", d.Summary, tc.summary)
			}
			if want := len(tc.changes) == 0 && d.Serial == Stays; d.Equal != want {
				t.Errorf("equal is %v", d.Equal)
			}
			var got []string
			for _, c := range d.Changes {
				got = append(got, c.Name+" "+c.Type+" "+string(c.Kind)+" "+strings.Join(c.Old, ",")+"|"+strings.Join(c.New, ","))
			}
			if strings.Join(got, "\n") != strings.Join(tc.changes, "\n") {
				t.Errorf("changes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.changes, "\n"))
			}
			if len(d.Warnings) != len(tc.warnings) {
				t.Fatalf("warnings %q, want %q", d.Warnings, tc.warnings)
			}
			for i, part := range tc.warnings {
				if !strings.Contains(d.Warnings[i], part) {
					t.Errorf("warning %q lacks %q", d.Warnings[i], part)
				}
			}
		})
	}
}

func TestNegativeAnswersAreKept(t *testing.T) {
	t.Parallel()
	before := strings.Replace(base, "86400 60", "86400 1800", 1)
	after := strings.Replace(before, " 7 3600", " 8 3600", 1) + "new IN A 192.0.2.8\n"
	d, err := Compare(mustZone(t, before), mustZone(t, after))
	if err != nil || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], `may keep "there is none" for 30 min.`) {
		t.Errorf("warnings %q, %v", d.Warnings, err)
	}
}

func TestNameWithABlank(t *testing.T) {
	t.Parallel()
	d, err := Compare(mustZone(t, base), mustZone(t, base+"a\\032b IN A 192.0.2.8\n"))
	if err != nil || len(d.Changes) != 1 || d.Changes[0].Type != "A" || d.Changes[0].New[0] != "192.0.2.8" {
		t.Errorf("%+v, %v", d.Changes, err)
	}
}

func TestTwoZones(t *testing.T) {
	t.Parallel()
	if _, err := Compare(mustZone(t, base), mustZone(t, strings.Replace(base, "example.com", "example.net", 1))); err == nil {
		t.Error("two zones were compared")
	}
}

func TestLasting(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[uint32]string{0: "0 s", 60: "1 min", 3600: "1 h", 5400: "1 h 30 min", 172800: "2 d", 301: "5 min 1 s"} {
		if got := Lasting(seconds); got != want {
			t.Errorf("Lasting(%d) = %q, want %q", seconds, got, want)
		}
	}
}

// FuzzCompare: a zone is equal to itself, and what is added one way is removed the other.
func FuzzCompare(f *testing.F) {
	f.Add("www 60 IN A 192.0.2.2", "mail IN TXT \"a b\"")
	f.Add("*.a\\ b IN TYPE65280 \\# 2 abcd", "b IN CAA 0 issue \"x\"")
	f.Fuzz(func(t *testing.T, a, b string) {
		before, err := zone.Check(base+a+"\n", "example.com.zone")
		if err != nil {
			t.Skip()
		}
		if d, err := Compare(before, before); err != nil || !d.Equal {
			t.Fatalf("differs from itself: %+v, %v", d, err)
		}
		after, err := zone.Check(base+b+"\n", "example.com.zone")
		if err != nil || before.Apex() != after.Apex() {
			t.Skip()
		}
		there, _ := Compare(before, after)
		back, _ := Compare(after, before)
		if len(there.Changes) != len(back.Changes) {
			t.Fatalf("%+v there, %+v back", there.Changes, back.Changes)
		}
		for i, c := range there.Changes {
			r := back.Changes[i]
			if c.Name != r.Name || c.Type != r.Type || (c.Kind == Added) != (r.Kind == Removed) || len(c.Old) != len(r.New) {
				t.Fatalf("%+v there, %+v back", c, r)
			}
		}
	})
}
