package zonebook

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// anyChange draws a change that people could make, good or bad.
func anyChange(t *rapid.T) Change {
	data := map[string][]string{
		"A": {"192.0.2.1", "192.0.2.2", "192.0.2.9"}, "AAAA": {"2001:db8::1"}, "CNAME": {"shop.example.com.", "mail.shop.example.com."}, "MX": {"10 mail.shop.example.com.", "20 x.example.net."},
		"TXT": {`"one"`, `"two; three"`, `"v=spf1 mx -all"`}, "NS": {"ns1.example.org.", "ns1.sub.shop.example.com."}, "CAA": {`0 issue "ca.example.net"`}, "SRV": {"0 0 5061 mail.shop.example.com."},
	}
	typ := rapid.SampledFrom([]string{"A", "AAAA", "CNAME", "MX", "TXT", "NS", "CAA", "SRV"}).Draw(t, "type")
	some := func(label string, least int) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(data[typ]), least, len(data[typ]), rapid.ID).Draw(t, label)
	}
	c := Change{
		Op: rapid.SampledFrom([]Op{Add, Replace, Remove}).Draw(t, "op"), Type: typ,
		Name: rapid.SampledFrom([]string{"@", "www", "mail", "old", "two", "*", "*.apps", "a.apps", "sub", "x.sub", "deep.er.name", "_dmarc", "new"}).Draw(t, "name"),
		TTL:  rapid.SampledFrom([]uint32{0, 60, 300, 86400, 604800}).Draw(t, "ttl"),
	}
	if c.Op != Remove {
		c.Data = some("data", 1)
	}
	if c.Op != Add && rapid.Bool().Draw(t, "some") {
		c.Old = some("old", 1)
	}
	return c
}

// TestDraftsAreRefusedOrServe: any draft is refused by name, or is a zone that parses,
// that holds what the plan says, and that comes back octet by octet.
func TestDraftsAreRefusedOrServe(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := facts()
		f.Incident = rapid.Bool().Draw(t, "crisis")
		var d Draft
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			if next, err := d.With(f, anyChange(t)); err == nil {
				d = next
			}
		}
		p := f.Plan(d.Changes)
		if len(p.Refused) > 0 {
			for _, r := range p.Refused {
				if r.Text == "" {
					t.Fatalf("refused without a word: %+v", p.Refused)
				}
			}
			return
		}
		after, err := zone.Parse(p.After.In(f.Zone))
		if err != nil {
			t.Fatalf("a good plan does not parse: %v\n%s", err, p.After.Text)
		}
		before, err := zone.Parse(f.Zone)
		if err != nil {
			t.Fatal(err)
		}
		diff, err := zonediff.Compare(before, after)
		if err != nil || len(diff.Changes) != len(p.Lines) {
			t.Fatalf("the plan tells of %d sets, %d differ: %v", len(p.Lines), len(diff.Changes), err)
		}
		if len(before.Follow()) != len(after.Follow()) {
			t.Fatal("a name follows its site no more")
		}
		for _, c := range diff.Changes { // never an empty answer in silence
			name := c.Name
			if !has(before, name) || has(after, name) {
				continue
			}
			if !slices.ContainsFunc(p.Asks, func(a string) bool { return strings.HasPrefix(a, trimmed(name)+" ") }) {
				t.Fatalf("%s goes away, and nothing asks for it: %v", name, p.Asks)
			}
		}
		next := f
		next.Zone, next.Number = p.After.In(f.Zone), f.Number+1
		back := next.PlanText(TextOf(f.Zone), FromBefore, f.Number)
		if len(p.Lines) > 0 && !back.Good() {
			t.Fatalf("it can't be undone: %v", back.Refused)
		}
		if back.After.Hash() != TextOf(f.Zone).Hash() {
			t.Fatal("what comes back is not what there was")
		}
	})
}

func has(z *zone.Zone, name string) bool {
	return slices.ContainsFunc(z.Records(), func(r zone.Record) bool { return zone.Unpack(r.Owner) == name })
}

// TestChangesOfTwo: what one has published is there after the other has, where they
// changed other records; and where they did not, the second is told.
func TestChangesOfTwo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := facts()
		var one, two Draft
		if d, err := one.With(f, anyChange(t)); err == nil {
			one = d
		}
		if d, err := two.With(f, anyChange(t)); err == nil {
			two = d
		}
		p := f.Plan(one.Changes)
		if !p.Good() || len(two.Changes) == 0 {
			return
		}
		later := f
		later.Zone, later.Number, later.Hash = p.After.In(f.Zone), 1, p.After.Hash()
		later.Since = []Revision{{Number: 1, Summary: p.Summary, Lines: p.Said()}}
		q := later.Plan(two.Changes)
		if q.Hash == f.Plan(two.Changes).Hash {
			t.Fatal("a plan from before counts")
		}
		if len(q.Since) != 1 {
			t.Fatal("the second is not told of the first")
		}
		if !q.Good() {
			return // refused by name
		}
		mine := fmt.Sprint(two.Changes[0].Name, two.Changes[0].Type)
		for _, l := range q.Lines {
			if fmt.Sprint(l.Name, l.Type) == mine {
				continue
			}
			if strings.HasPrefix(l.Name, "_acme") {
				continue
			}
			if l.Kind != zonediff.Added && hidden(two.Changes[0]) {
				continue // what lies below a delegation goes away with it
			}
			if !hidden(two.Changes[0]) {
				t.Fatalf("the second changes %s %s, which is not its own", l.Name, l.Type)
			}
		}
	})
}

// hidden says whether a change may hide or show other names.
func hidden(c Change) bool { return c.Type == "NS" }

// FuzzForm: whatever is typed into a form is a record of that name and type, or is
// refused; it never becomes two records, or another name's.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "10 mail", `"a" "b"`, "x; y", "\n", `\`, `"`, "(", "1 . alpn=h2", `\# 4 01020304`, "é", "$INCLUDE x", strings.Repeat("a", 300)} {
		for i := range len(Forms()) + 1 {
			f.Add(i, "www", s, s, s)
		}
	}
	f.Fuzz(func(t *testing.T, which int, name, a, b, c string) {
		const apex = "shop.example.com."
		forms := append(Forms(), FormOf("SSHFP"))
		form := forms[uint(which)%uint(len(forms))]
		values := map[string]string{}
		for i, x := range form.Fields {
			values[x.Name] = []string{a, b, c, a}[i%4]
		}
		data, err := form.Data(apex, func(n string) string { return values[n] })
		if err != nil {
			return
		}
		full, err := Name(apex, name)
		if err != nil {
			return
		}
		fs := facts()
		d, err := Draft{}.With(fs, Change{Op: Add, Name: full, Type: form.Type, Data: []string{data}})
		if err != nil {
			return
		}
		got := d.Changes[0]
		if got.Name != full || got.Type != form.Type || len(got.Data) != 1 {
			t.Fatalf("%q %q became %+v", full, data, got)
		}
		rec, err := parse(apex, got.Name, got.Type, got.Data[0])
		if err != nil {
			t.Fatalf("%+v can't be read again: %v", got, err)
		}
		if _, again := rec.Value(); again != got.Data[0] {
			t.Fatalf("%q is read as %q", got.Data[0], again)
		}
		back := form.Split(got.Data[0])
		one, err := form.Data(apex, func(n string) string { return back[n] })
		if err != nil {
			t.Fatalf("%q comes apart as %v, which is refused: %v", got.Data[0], back, err)
		}
		clean, _, err := canonical(apex, full, form.Type, []string{one})
		if err != nil || clean[0] != got.Data[0] {
			t.Fatalf("%q comes apart as %v, and together as %q %v", got.Data[0], back, one, err)
		}
	})
}

// FuzzPaste: whatever is pasted is records of the zone, or is refused.
func FuzzPaste(f *testing.F) {
	for _, s := range []string{text, "a A 192.0.2.1", "$ORIGIN .\n", "$TTL x", "@ TXT (\n\"a\"\n)", "\x00", "a 1 IN TYPE65280 \\# 1 00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fs := facts()
		changes, err := Paste(fs, s, true)
		if err != nil {
			return
		}
		d, err := Draft{}.With(fs, changes...)
		if err != nil {
			return
		}
		p := fs.Plan(d.Changes)
		if !p.Good() {
			return
		}
		if _, err := zone.Parse(p.After.In(fs.Zone)); err != nil {
			t.Fatal(err)
		}
	})
}
