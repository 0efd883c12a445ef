package snapshot

import (
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
)

func TestSignAndOpen(t *testing.T) {
	t.Parallel()
	m, _ := manifest(t, 3, 9, Standby, contents())
	s := sign(t, m)
	got, err := Open(s, testPublic())
	must(t, err)
	if d := cmp.Diff(m, got, equal); d != "" {
		t.Error(d)
	}
	if _, err := Open(s, nil); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "lifeboat answer trust KEY") {
		t.Errorf("without a key: %v", err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	if _, err := Open(s, other); fault.KindOf(err) != fault.Denied {
		t.Errorf("with another key: %v", err)
	}
	for name, bad := range map[string]Signed{
		"nothing": {}, "no signature": {Manifest: s.Manifest}, "no manifest": {Signature: s.Signature},
		"more manifest":  {Manifest: append(slices.Clone(s.Manifest), ' '), Signature: s.Signature},
		"less manifest":  {Manifest: s.Manifest[:len(s.Manifest)-1], Signature: s.Signature},
		"more signature": {Manifest: s.Manifest, Signature: append(slices.Clone(s.Signature), 0)},
	} {
		if _, err := Open(bad, testPublic()); fault.KindOf(err) != fault.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No byte of a manifest or its signature can be changed.
func TestEveryFlipIsRefused(t *testing.T) {
	t.Parallel()
	m, _ := manifest(t, 3, 9, Standby, contents())
	s := sign(t, m)
	for _, b := range [][]byte{s.Manifest, s.Signature} {
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				if got, err := Open(s, testPublic()); fault.KindOf(err) != fault.Denied || got.Epoch != 0 {
					t.Fatalf("byte %d, bit %d: %v", i, bit, err)
				}
				b[i] ^= 1 << bit
			}
		}
	}
	if _, err := Open(s, testPublic()); err != nil {
		t.Fatal(err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		kind fault.Kind
		says string
	}{
		"the least":                {`{"format":1}`, "", ""},
		"unknown fields":           {`{"format":1,"epoch":2,"later":{"a":[1]},"sites":{"shop":{"position":"standby","tilt":9}}}`, "", ""},
		"nothing to understand":    {`{"format":1,"must":[]}`, "", ""},
		"unknown must-understand":  {`{"format":1,"epoch":2,"must":["stages"]}`, fault.NotSupported, `"stages"`},
		"one of several is enough": {`{"format":1,"must":["",""]}`, fault.NotSupported, "upgrade answer"},
		"a newer format":           {`{"format":2}`, fault.NotSupported, "format 2"},
		"format 0":                 {`{"format":0}`, fault.Invalid, "no format"},
		"no format":                {`{}`, fault.Invalid, "no format"},
		"a negative format":        {`{"format":-1}`, fault.Invalid, "no format"},
		"no JSON":                  {`{`, fault.Invalid, "can't be read"},
		"nothing":                  {``, fault.Invalid, "can't be read"},
		"a list":                   {`[]`, fault.Invalid, "can't be read"},
		"null":                     {`null`, fault.Invalid, "no format"},
		"two documents":            {`{"format":1}{"format":1}`, fault.Invalid, "can't be read"},
		"a negative revision":      {`{"format":1,"revision":-1}`, fault.Invalid, "can't be read"},
	} {
		m, err := Decode([]byte(c.text))
		if fault.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "unknown fields" && (m.Epoch != 2 || m.Sites["shop"].Position != Standby) {
			t.Errorf("%s: %+v", name, m)
		}
		if name == "unknown must-understand" && m.Epoch != 2 { // so that the sender knows its own again
			t.Errorf("%s: the number is lost: %+v", name, m)
		}
	}
}

func TestKeyText(t *testing.T) {
	t.Parallel()
	text := FormatKey(testPublic())
	for _, s := range []string{text, " " + text + "\n"} {
		if k, err := ParseKey(s); err != nil || !k.Equal(testPublic()) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "lifeboat-key-1:", text[1:], text[:len(text)-1], text + "A", strings.ToUpper(text), strings.Replace(text, "key-1", "key-2", 1), text + " x"} {
		if _, err := ParseKey(s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestContentsThereAndBack(t *testing.T) {
	t.Parallel()
	c := contents()
	parts, refs, err := c.Encode()
	must(t, err)
	again, refs2, err := c.Encode()
	must(t, err)
	if d := cmp.Diff(refs, refs2); d != "" || len(again) != 3 {
		t.Errorf("the same contents have other names: %s", d)
	}
	get := func(h string) ([]byte, error) { return parts[h], nil }
	got, err := DecodeContents(refs, get)
	must(t, err)
	if d := cmp.Diff(c, got, equal); d != "" {
		t.Error(d)
	}
	for _, name := range []string{PartSites, PartZones, PartFeatures} {
		less := map[string]Ref{}
		for n, r := range refs {
			if n != name {
				less[n] = r
			}
		}
		if _, err := DecodeContents(less, get); fault.KindOf(err) != fault.Invalid {
			t.Errorf("without %s: %v", name, err)
		}
		ref := refs[name]
		good := parts[ref.SHA256]
		for what, bad := range map[string][]byte{"cut off": good[:len(good)-1], "longer": append(slices.Clone(good), ' '), "empty": {}, "another": []byte("[]")} {
			_, err := DecodeContents(refs, func(h string) ([]byte, error) {
				if h == ref.SHA256 {
					return bad, nil
				}
				return parts[h], nil
			})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
	odd := []byte(`{"not":"a list"}`)
	refs[PartSites], parts[RefOf(odd).SHA256] = RefOf(odd), odd
	if _, err := DecodeContents(refs, get); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a part of another shape: %v", err)
	}
	if _, err := DecodeContents(refs, func(string) ([]byte, error) { return nil, fault.New(fault.NotFound, "gone") }); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a part that is not here: %v", err)
	}
}

func TestContentsLookUp(t *testing.T) {
	t.Parallel()
	c := contents()
	if s, ok := c.Site("shop"); !ok || s.Title != "Example Shop" {
		t.Errorf("site: %+v %t", s, ok)
	}
	if l, ok := c.Lever("close-checkout"); !ok || l.Feature != "checkout" {
		t.Errorf("lever: %+v %t", l, ok)
	}
	if f, ok := c.Flag("checkout"); !ok || string(f.Off) != "false" {
		t.Errorf("flag: %+v %t", f, ok)
	}
	_, site := c.Site("x")
	_, lever := c.Lever("x")
	_, flag := c.Flag("x")
	if site || lever || flag {
		t.Error("what is not there is found")
	}
	if got := c.Sites[0].Targets("main"); len(got) != 2 || got[1].Address != "2001:db8::10" || got[0].Host != "shop.example.com" || got[0].Port != 80 {
		t.Errorf("targets: %+v", got)
	}
	if got := (Site{}).Targets("main"); got != nil {
		t.Errorf("targets of nothing: %+v", got)
	}
}

func FuzzDecode(f *testing.F) {
	m, _ := manifest(f, 3, 9, Standby, contents())
	b, err := json.Marshal(m)
	must(f, err)
	f.Add(b)
	for _, s := range []string{`{"format":1}`, `{"format":1,"must":["x"]}`, `{`, `null`, `{"format":1,"sites":{"":{"auto":{}}}}`, `{"format":1e9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.NotSupported {
				t.Fatalf("kind %q of %v", k, err)
			}
			return
		}
		if m.Format != Format || len(m.Must) > 0 {
			t.Fatalf("taken: %+v", m)
		}
		c := contents()
		for _, s := range c.Sites {
			if _, has := s.Positions[Effective(m, Local{}, s)]; !has {
				t.Fatalf("in force at %q, which is no position", Effective(m, Local{}, s))
			}
		}
		again, err := json.Marshal(m)
		must(t, err)
		if _, err := Decode(again); err != nil {
			t.Fatalf("written again it can't be read: %v", err)
		}
	})
}

func FuzzDecodeContents(f *testing.F) {
	parts, refs, err := contents().Encode()
	must(f, err)
	f.Add(parts[refs[PartSites].SHA256], parts[refs[PartZones].SHA256], parts[refs[PartFeatures].SHA256])
	f.Add([]byte(`[]`), []byte(`null`), []byte(`[{}]`))
	f.Add([]byte(`[{"positions":{"":{"ips":["::"]}}}]`), []byte(`{`), []byte(``))
	f.Fuzz(func(t *testing.T, sites, zones, features []byte) {
		all := map[string][]byte{}
		refs := map[string]Ref{}
		for name, b := range map[string][]byte{PartSites: sites, PartZones: zones, PartFeatures: features} {
			refs[name] = RefOf(b)
			all[refs[name].SHA256] = b
		}
		c, err := DecodeContents(refs, func(h string) ([]byte, error) { return all[h], nil })
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("kind %q of %v", fault.KindOf(err), err)
			}
			return
		}
		if _, _, err := c.Encode(); err != nil {
			t.Fatalf("written again: %v", err)
		}
		for _, s := range c.Sites {
			for place := range s.Positions {
				s.Rank(place)
				s.Targets(place)
			}
		}
	})
}
