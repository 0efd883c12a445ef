package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
	"lifeboat/internal/slot"
	"lifeboat/internal/slot/slottest"
)

func newFolder(t testing.TB) (*Folder, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "answer")
	return reopen(t, dir), dir
}

func reopen(t testing.TB, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(dir)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// save keeps a snapshot of contents with the shop at a position.
func save(t testing.TB, f *Folder, epoch, revision uint64, position string, c Contents) error {
	t.Helper()
	m, parts := manifest(t, epoch, revision, position, c)
	return f.Save(sign(t, m), parts)
}

// loads fails unless the folder serves this revision, position and zone text.
func loads(t testing.TB, f *Folder, revision uint64, position, text string, passedOver int) {
	t.Helper()
	m, c, problems, err := f.Load(testPublic())
	if err != nil {
		t.Fatalf("load: %v (passed over %v)", err, problems)
	}
	if got := Effective(m, Local{}, c.Sites[0]); m.Revision != revision || got != position || c.Zones[0].Text != text {
		t.Errorf("serves revision %d at %s with %q, want %d at %s with %q", m.Revision, got, c.Zones[0].Text, revision, position, text)
	}
	if len(problems) != passedOver {
		t.Errorf("passed over %v", problems)
	}
	for name, r := range m.Parts { // what is said to be in force is what serves
		if b, err := f.Part(r.SHA256); err != nil || RefOf(b) != r {
			t.Errorf("the manifest names a part %s that is not here: %v", name, err)
		}
	}
}

const plain = "mail IN A 192.0.2.25\n"

func TestFolderKeepsTwo(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	if _, _, _, err := f.Load(testPublic()); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("an empty folder: %v", err)
	}
	for r, position := range []string{"main", "backup", Standby, "main", Standby} {
		must(t, save(t, f, 1, uint64(r+1), position, contents()))
		loads(t, f, uint64(r+1), position, plain, 0)
	}
	must(t, f.Close())
	loads(t, reopen(t, dir), 5, Standby, plain, 0)
	info, err := os.Stat(dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %o", info.Mode().Perm())
	}
}

func TestAnotherKeyReadsNothing(t *testing.T) {
	t.Parallel()
	f, _ := newFolder(t)
	must(t, save(t, f, 1, 1, Standby, contents()))
	other, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	if _, _, problems, err := f.Load(other); fault.KindOf(err) != fault.NotFound || len(problems) != 1 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Whatever lies in the newest slot, the one before serves.
func TestBadNewestManifest(t *testing.T) {
	t.Parallel()
	m, _ := manifest(t, 1, 3, "main", contents())
	forged := sign(t, m)
	forged.Manifest = bytes.Replace(forged.Manifest, []byte(`"position":"main"`), []byte(`"position":"moon"`), 1)
	newer := m
	newer.Format = 2
	for name, raw := range map[string]any{
		"forged": forged, "not signed": Signed{Manifest: forged.Manifest}, "empty": Signed{}, "of a later format": sign(t, newer), "no manifest": []int{1}, "a word": "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, dir := newFolder(t)
			must(t, save(t, f, 1, 1, "main", contents()))
			must(t, save(t, f, 1, 2, Standby, contents()))
			b, err := json.Marshal(raw)
			must(t, err)
			must(t, f.manifest.Write(b))
			must(t, f.Close())
			loads(t, reopen(t, dir), 2, Standby, plain, 1)
		})
	}
}

// A manifest that is older than the one before it does not take its place.
func TestOlderManifestInTheNewestSlot(t *testing.T) {
	t.Parallel()
	f, _ := newFolder(t)
	must(t, save(t, f, 1, 7, Standby, contents()))
	must(t, save(t, f, 1, 3, "main", contents()))
	loads(t, f, 7, Standby, plain, 0)
	must(t, save(t, f, 2, 1, "backup", contents()))
	loads(t, f, 2-1, "backup", plain, 0)
}

// A slot that is cut off, at any length, or damaged at any byte, leaves the one before.
func TestTornManifestSlot(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	must(t, save(t, f, 1, 1, "main", contents()))
	must(t, save(t, f, 1, 2, Standby, contents()))
	must(t, f.Close())
	path := filepath.Join(dir, "manifest.slot")
	whole, err := os.ReadFile(path)
	must(t, err)
	second := len(whole) / 2
	for i := 0; i < 1200; i += 7 {
		torn := slices.Clone(whole)
		torn[second+i] ^= 0x55
		must(t, os.WriteFile(path, torn, 0o600))
		f := reopen(t, dir)
		m, _, _, err := f.Load(testPublic())
		must(t, f.Close())
		if err != nil || m.Revision != 1 && m.Revision != 2 { // beyond the value a byte says nothing
			t.Fatalf("damaged at %d: revision %d, %v", i, m.Revision, err)
		}
	}
	for _, n := range []int{len(whole) - 1, second + 100, second, second - 1, 10_000} {
		must(t, os.WriteFile(path, whole[:n], 0o600))
		f := reopen(t, dir)
		loads(t, f, 1, "main", plain, 0)
		must(t, f.Close())
	}
	must(t, os.WriteFile(path, nil, 0o600))
	if _, _, _, err := reopen(t, dir).Load(testPublic()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an empty file: %v", err)
	}
}

// Where a part is gone, cut off or forged, the parts before serve at the newest
// position.
func TestBadPart(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"gone":    os.Remove,
		"cut off": func(p string) error { return os.Truncate(p, 10) },
		"forged":  func(p string) error { return os.WriteFile(p, []byte("[]"), 0o600) },
		"empty":   func(p string) error { return os.Truncate(p, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, dir := newFolder(t)
			must(t, save(t, f, 1, 1, "main", contents()))
			next := changed("new IN A 192.0.2.26\n")
			must(t, save(t, f, 1, 2, Standby, next))
			m, parts := manifest(t, 1, 2, Standby, next)
			hash := m.Parts[PartZones].SHA256
			must(t, spoil(filepath.Join(dir, "parts", hash)))
			must(t, f.Close())
			f = reopen(t, dir)
			loads(t, f, 2, Standby, plain, 1)
			if slices.Contains(f.Parts(), hash) || f.Has(hash) {
				t.Error("the bad part is said to be here, so nobody would send it again")
			}
			must(t, save(t, f, 1, 3, Standby, next)) // control sends it again
			loads(t, f, 3, Standby, "new IN A 192.0.2.26\n", 0)
			if !f.Has(hash) || len(parts) != 3 {
				t.Error("the part was not written anew")
			}
		})
	}
}

// A crash after the parts and before the manifest leaves the snapshot before.
func TestCrashBetweenPartsAndManifest(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	must(t, save(t, f, 1, 1, Standby, contents()))
	_, parts := manifest(t, 1, 2, "main", changed("new IN A 192.0.2.26\n"))
	for h, b := range parts {
		must(t, WriteFile(f.part(h), b))
	}
	must(t, os.WriteFile(filepath.Join(dir, "parts", ".new-123"), []byte("half"), 0o600))
	must(t, f.Close())
	f = reopen(t, dir)
	loads(t, f, 1, Standby, plain, 0)
	m, _ := manifest(t, 1, 1, Standby, contents())
	f.Prune(m)
	entries, err := os.ReadDir(filepath.Join(dir, "parts"))
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("%d files are left of 3 parts", len(entries))
	}
	loads(t, f, 1, Standby, plain, 0)
}

func TestPruneKeepsTheLastTwo(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	var ms []Manifest
	for r := range uint64(4) {
		c := changed(fmt.Sprintf("r%d IN A 192.0.2.26\n", r))
		m, _ := manifest(t, 1, r+1, "main", c)
		ms = append(ms, m)
		must(t, save(t, f, 1, r+1, "main", c))
		if r > 0 {
			f.Prune(ms[r], ms[r-1])
		}
	}
	if n := len(f.Parts()); n != 4 { // sites and features are the same, two zones differ
		t.Errorf("%d parts are kept", n)
	}
	must(t, os.Truncate(filepath.Join(dir, "parts", ms[3].Parts[PartZones].SHA256), 3))
	loads(t, f, 4, "main", "r2 IN A 192.0.2.26\n", 1)
}

// While parts can't be written, flip after flip is kept, and the parts before serve.
func TestManyFlipsWhilePartsCantBeWritten(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	must(t, save(t, f, 1, 1, "main", contents()))
	aside := filepath.Join(t.TempDir(), "parts")
	must(t, os.Rename(filepath.Join(dir, "parts"), aside))
	positions := []string{"backup", Standby, "main", Standby}
	for r, position := range positions {
		if err := save(t, f, 1, uint64(r+2), position, changed("new IN A 192.0.2.26\n")); err == nil {
			t.Fatal("the parts were written without a folder")
		}
		if m, c, _, err := f.Load(testPublic()); err != nil || Effective(m, Local{}, c.Sites[0]) != position || c.Zones[0].Text == plain {
			t.Fatalf("what is waiting does not serve: %v", err)
		}
	}
	must(t, f.Close())
	must(t, os.Rename(aside, filepath.Join(dir, "parts")))
	f = reopen(t, dir)
	loads(t, f, 5, Standby, plain, 2)
	must(t, save(t, f, 1, 6, "backup", changed("new IN A 192.0.2.26\n")))
	loads(t, f, 6, "backup", "new IN A 192.0.2.26\n", 0)
}

// Parts that could not be written are written by a later save that carries none.
func TestPartsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	must(t, os.Remove(filepath.Join(dir, "parts")))
	if err := save(t, f, 1, 1, "main", contents()); err == nil {
		t.Fatal("saved without a folder")
	}
	must(t, os.Mkdir(filepath.Join(dir, "parts"), 0o700))
	m, _ := manifest(t, 1, 2, Standby, contents())
	must(t, f.Save(sign(t, m), nil))
	must(t, f.Close())
	loads(t, reopen(t, dir), 2, Standby, plain, 0)
}

// A disk that takes only so many bytes, for any number of them, or does not sync:
// the newest snapshot that was kept is there afterwards, whole.
func TestEveryShortWrite(t *testing.T) {
	t.Parallel()
	for room := 0; room < 2600; room += 13 {
		disk := slottest.NewDisk()
		f := onDisk(t, disk, t.TempDir())
		must(t, save(t, f, 1, 1, "main", contents()))
		must(t, f.SaveLocal(Local{Adopted: 1}))
		disk.FailWrites(room, syscall.ENOSPC)
		kept := save(t, f, 1, 2, Standby, contents()) == nil
		local := f.SaveLocal(Local{Adopted: 2}) == nil
		after := onDisk(t, disk.PowerCut(), f.dir)
		m, _, _, err := after.Load(testPublic())
		if err != nil || m.Revision == 0 || kept && m.Revision != 2 {
			t.Fatalf("room %d: revision %d, kept %t, %v", room, m.Revision, kept, err)
		}
		l, err := after.LoadLocal()
		if err != nil || l.Adopted == 0 || local && l.Adopted != 2 {
			t.Fatalf("room %d: orders %+v, kept %t, %v", room, l, local, err)
		}
		disk.FailWrites(0, nil)
		must(t, save(t, f, 1, 3, "backup", contents()))
		loads(t, f, 3, "backup", plain, 0)
	}
	disk := slottest.NewDisk()
	f := onDisk(t, disk, t.TempDir())
	must(t, save(t, f, 1, 1, Standby, contents()))
	disk.FailSyncs(syscall.EIO)
	if err := save(t, f, 1, 2, "main", contents()); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync that fails: %v", err)
	}
	loads(t, onDisk(t, disk.PowerCut(), f.dir), 1, Standby, plain, 0)
}

// onDisk is a folder whose slots lie on a disk for tests, and its parts on the real
// one.
func onDisk(t *testing.T, disk *slottest.Disk, dir string) *Folder {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "parts"), 0o700))
	m, err := slot.OpenWith(disk, "manifest.slot", 4<<10)
	must(t, err)
	l, err := slot.OpenWith(disk, "orders.slot", 4<<10)
	must(t, err)
	return &Folder{dir: dir, manifest: m, local: l, pending: map[string][]byte{}}
}

// On a disk without a free byte a flip and a local order are kept, and parts wait.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 2<<20, func(root string) {
		dir := filepath.Join(root, "answer")
		f := reopen(t, dir)
		must(t, save(t, f, 1, 1, "main", contents()))
		free := slottest.Fill(t, root)
		for r, position := range []string{"backup", Standby, "backup", Standby} {
			m, _ := manifest(t, 1, uint64(r+2), position, contents())
			must(t, f.Save(sign(t, m), nil))
			must(t, f.SaveLocal(Local{Orders: []Order{move(fmt.Sprint(r), Standby)}}))
		}
		if err := save(t, f, 1, 6, Standby, changed(strings.Repeat("; filling\n", 2000))); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("new parts on a full disk: %v", err)
		}
		must(t, f.Close())
		f = reopen(t, dir)
		loads(t, f, 6, Standby, plain, 1)
		if l, err := f.LoadLocal(); err != nil || len(l.Orders) != 1 || l.Orders[0].ID != "3" {
			t.Errorf("orders: %+v, %v", l, err)
		}
		free()
		must(t, save(t, f, 1, 7, Standby, changed("new IN A 192.0.2.26\n")))
		loads(t, f, 7, Standby, "new IN A 192.0.2.26\n", 0)
	})
}

func TestLocalAndKey(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	if l, err := f.LoadLocal(); err != nil || len(l.Orders) != 0 {
		t.Errorf("nothing kept: %+v, %v", l, err)
	}
	if _, err := f.Key(); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "lifeboat answer trust KEY") {
		t.Errorf("no key: %v", err)
	}
	want := Local{Orders: []Order{move("1", Standby), flip("2", "false")}, Serials: map[string]uint32{"shop.example.com.": 9}, Adopted: 3}
	must(t, f.SaveLocal(want))
	must(t, f.Pin(testPublic()))
	must(t, f.Close())
	f = reopen(t, dir)
	got, err := f.LoadLocal()
	must(t, err)
	if d := cmp.Diff(want, got, equal); d != "" {
		t.Error(d)
	}
	if k, err := f.Key(); err != nil || !k.Equal(testPublic()) {
		t.Errorf("key: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "trusted.key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %o", info.Mode().Perm())
	}
	must(t, os.WriteFile(filepath.Join(dir, "trusted.key"), []byte("lifeboat-key-1:AAAA\n"), 0o600))
	if _, err := f.Key(); fault.KindOf(err) != fault.Invalid {
		t.Errorf("half a key: %v", err)
	}
}

// A hash can't name a file outside of the folder.
func TestHashStaysInside(t *testing.T) {
	t.Parallel()
	f, dir := newFolder(t)
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600))
	for _, h := range []string{"../secret", "/etc/passwd", "..", "", "../parts/../secret"} {
		if b, err := f.Part(h); err == nil {
			t.Errorf("%q gives %q", h, b)
		}
		if f.Has(h) {
			t.Errorf("%q is here", h)
		}
	}
}
