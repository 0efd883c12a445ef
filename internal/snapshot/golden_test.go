package snapshot

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

// The files in testdata are what other versions write. Those of v1 are never made
// anew: an answer that can't read them loses what is ordered at its upgrade.
var update = flag.Bool("update", false, "make the files in testdata that are not there yet")

// golden is the snapshot of testdata/v1.
func golden(t testing.TB) (Manifest, Contents) {
	t.Helper()
	c := contents()
	stand := shop()
	stand.ID, stand.Shadow, stand.Names, stand.Levers = ShadowID("shop"), "shop", nil, nil
	c.Sites = append(c.Sites, stand)
	m, _ := manifest(t, 2, 41, Standby, c)
	m.Sites["shop"] = SiteOrder{
		Position: Standby, Since: epoch1, Generation: 6, Incident: "01JN0000000000000000000001", Title: "The shop is down", Message: "We are working on it.", TTLCap: 30,
		Auto: &Auto{Lever: "to-standby", Position: Standby, ArmedUntil: epoch1.Add(720 * time.Hour), NotBefore: epoch1.Add(time.Hour), Silence: 10 * time.Second, Gap: time.Hour},
	}
	m.Features = map[string]feature.Order{"checkout": {Value: json.RawMessage("false"), Lever: "close-checkout", Incident: "01JN0000000000000000000001", By: "Ada", Since: "2026-03-01T12:00:00Z"}}
	m.Taken = []string{"01JN0000000000000000000002"}
	return m, c
}

// files are a snapshot as it lies in a folder of testdata.
type files struct {
	signed Signed
	parts  map[string][]byte
}

func read(t testing.TB, version string) files {
	t.Helper()
	dir := filepath.Join("testdata", version)
	m, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	must(t, err)
	sig, err := os.ReadFile(filepath.Join(dir, "signature"))
	must(t, err)
	raw, err := hex.DecodeString(strings.TrimSpace(string(sig)))
	must(t, err)
	f := files{Signed{m, raw}, map[string][]byte{}}
	for _, name := range []string{PartSites, PartZones, PartFeatures} {
		b, err := os.ReadFile(filepath.Join(dir, name+".json"))
		must(t, err)
		f.parts[RefOf(b).SHA256] = b
	}
	return f
}

func (f files) part(hash string) ([]byte, error) {
	if b, has := f.parts[hash]; has {
		return b, nil
	}
	return nil, os.ErrNotExist
}

// makeGolden writes a snapshot to testdata, unless it is there.
func makeGolden(t *testing.T, version string, m any, parts map[string][]byte) {
	t.Helper()
	dir := filepath.Join("testdata", version)
	if _, err := os.Stat(dir); err == nil || !*update {
		return
	}
	must(t, os.MkdirAll(dir, 0o755))
	b, err := json.Marshal(m)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), b, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "signature"), []byte(hex.EncodeToString(ed25519.Sign(testKey(), b))+"\n"), 0o644))
	for name, p := range parts {
		must(t, os.WriteFile(filepath.Join(dir, name+".json"), p, 0o644))
	}
}

// spiced adds a field of a later version to every object, at all depths.
func spiced(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	var tree any
	must(t, json.Unmarshal(b, &tree))
	return spice(tree, "")
}

// keyed are the objects whose keys are data, not fields.
var keyed = map[string]bool{"sites": true, "features": true, "serials": true, "parts": true, "positions": true, "follow": true}

func spice(v any, name string) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			x[k] = spice(e, k)
		}
		if !keyed[name] {
			x["later"] = map[string]any{"of": "a version to come", "list": []any{1, nil, true}}
		}
	case []any:
		for i, e := range x {
			x[i] = spice(e, "")
		}
	}
	return v
}

func TestMakeGolden(t *testing.T) {
	if !*update {
		return
	}
	m, c := golden(t)
	parts, refs, err := c.Encode()
	must(t, err)
	byName := func(refs map[string]Ref, parts map[string][]byte) map[string][]byte {
		out := map[string][]byte{}
		for name, r := range refs {
			out[name] = parts[r.SHA256]
		}
		return out
	}
	makeGolden(t, "v1", m, byName(refs, parts))

	newer, later := map[string]Ref{}, map[string][]byte{}
	for name, v := range map[string]any{PartSites: c.Sites, PartZones: c.Zones, PartFeatures: c.Features} {
		b, ref, err := Part(spiced(t, v))
		must(t, err)
		newer[name], later[ref.SHA256] = ref, b
	}
	m.Parts = newer
	makeGolden(t, "newer", spiced(t, m), byName(newer, later))
	strict := spiced(t, m).(map[string]any)
	strict["must"] = []string{"stages"}
	makeGolden(t, "newer_must", strict, byName(newer, later))

	// The least that an early version wrote: no field that may be left out.
	lean, leanRefs, err := Contents{Sites: []Site{{ID: "shop", Names: []string{"shop.example.com"}, Scheme: "http", Port: 80, Home: "main", Positions: shop().Positions}}, Zones: c.Zones}.Encode()
	must(t, err)
	makeGolden(t, "least", map[string]any{"format": 1, "epoch": 1, "revision": 3, "parts": leanRefs, "sites": map[string]any{"shop": map[string]any{"position": Standby}}}, byName(leanRefs, lean))
}

func TestGoldenKey(t *testing.T) {
	t.Parallel()
	const pinned = "lifeboat-key-1:baushWZWvD8K2nsgiPpjHaegDec44-Ta7LMbxhArcM8"
	if got := FormatKey(testPublic()); got != pinned {
		t.Fatalf("the key for test data is %s now", got)
	}
}

func TestReadsFormat1ForEver(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "newer"} {
		f := read(t, version)
		m, err := Open(f.signed, testPublic())
		must(t, err)
		c, err := DecodeContents(m.Parts, f.part)
		must(t, err)
		want, wantContents := golden(t)
		if version == "newer" {
			want.Parts = m.Parts
		}
		if d := cmp.Diff(want, m, equal); d != "" {
			t.Errorf("%s: %s", version, d)
		}
		if d := cmp.Diff(wantContents, c, equal); d != "" {
			t.Errorf("%s: %s", version, d)
		}
	}
}

// What the last version wrote, without anything that came later, is served.
func TestReadsTheLeast(t *testing.T) {
	t.Parallel()
	f := read(t, "least")
	m, err := Open(f.signed, testPublic())
	must(t, err)
	c, err := DecodeContents(m.Parts, f.part)
	must(t, err)
	if got := Effective(m, Local{}, c.Sites[0]); got != Standby || m.Epoch != 1 || m.Revision != 3 || len(c.Zones) != 1 {
		t.Errorf("at %s of %+v", got, m)
	}
}

// What must be understood is refused, and what was in force before goes on.
func TestRefusesWhatItMustUnderstand(t *testing.T) {
	t.Parallel()
	f := read(t, "newer_must")
	if _, err := Open(f.signed, testPublic()); fault.KindOf(err) != fault.NotSupported {
		t.Fatalf("%v", err)
	}
	folder, _ := newFolder(t)
	good := read(t, "v1")
	must(t, folder.Save(good.signed, good.parts))
	must(t, folder.Save(f.signed, f.parts)) // as a newer version would have, before it was taken back
	m, _, problems, err := folder.Load(testPublic())
	if err != nil || m.Revision != 41 || len(problems) != 1 {
		t.Errorf("serves %d, %v, passed over %v", m.Revision, err, problems)
	}
}

// What this version writes, the version that wrote v1 reads: every field of v1 is
// still written under its name.
func TestWritesWhatV1Reads(t *testing.T) {
	t.Parallel()
	m, c := golden(t)
	f := read(t, "v1")
	now, err := json.Marshal(m)
	must(t, err)
	contains(t, "manifest", f.signed.Manifest, now, "parts")
	old, err := Open(f.signed, testPublic())
	must(t, err)
	parts, refs, err := c.Encode()
	must(t, err)
	for name, r := range old.Parts {
		b, err := f.part(r.SHA256)
		must(t, err)
		contains(t, name, b, parts[refs[name].SHA256], "")
	}
}

// contains fails unless all that is in old is in now too, but for one key.
func contains(t *testing.T, what string, old, now []byte, but string) {
	t.Helper()
	var a, b any
	must(t, json.Unmarshal(old, &a))
	must(t, json.Unmarshal(now, &b))
	var walk func(path string, a, b any)
	walk = func(path string, a, b any) {
		switch x := a.(type) {
		case map[string]any:
			y, _ := b.(map[string]any)
			for k, e := range x {
				if k != but {
					walk(path+"."+k, e, y[k])
				}
			}
		case []any:
			y, _ := b.([]any)
			for i, e := range x {
				if i >= len(y) {
					t.Errorf("%s[%d] is gone", path, i)
					return
				}
				walk(path, e, y[i])
			}
		default:
			if a != b {
				t.Errorf("%s was %v and is %v", path, a, b)
			}
		}
	}
	walk(what, a, b)
}
