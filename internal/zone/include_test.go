package zone

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"lifeboat/internal/fault"
)

func files(list ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(list); i += 2 {
		fsys[list[i]] = &fstest.MapFile{Data: []byte(list[i+1])}
	}
	return fsys
}

// included parses a text with the files beside it.
func included(text string, fsys fstest.MapFS) (*Zone, error) {
	s := source(text)
	var err error
	if s.Includes, err = Includes(fsys, text, "zones/shop.zone"); err != nil {
		return nil, err
	}
	s.File, s.Line = "zones/shop.zone", 1
	return Parse(s)
}

// An included file begins at the origin that its line names or that is in force,
// and leaves origin and owner as they were.
func TestInclude(t *testing.T) {
	t.Parallel()
	z, err := included(`
a A 192.0.2.1
$INCLUDE hosts.txt sub ; the hosts
  TXT "still a"
b A 192.0.2.2
$include "./more/c.txt"
c A 192.0.2.3
`, files(
		"hosts.txt", "h A 192.0.2.10\n$ORIGIN deeper\ni A 192.0.2.11\n$INCLUDE more/c.txt\n",
		"more/c.txt", "x A 192.0.2.20\n$TTL 7\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range z.Records() {
		got = append(got, fmt.Sprintf("%s %s %d", strings.TrimSuffix(Unpack(r.Owner), ".shop.example.com."), typeName(r.Type), r.TTL))
	}
	got = got[:len(got)-3] // SOA and NS
	want := []string{"a A 60", "a TXT 7", "b A 7", "c A 7", "h.sub A 60", "i.deeper.sub A 60", "x A 7", "x.deeper.sub A 60"}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Mistakes in an included file are told with its name and line.
func TestIncludePlaces(t *testing.T) {
	t.Parallel()
	_, err := included("a A 192.0.2.1\n$INCLUDE one.txt\nb A 1\n$INCLUDE two/x.txt\n", files(
		"one.txt", "\n\nbad A 1\n", "two/x.txt", "fine A 192.0.2.1\nworse A 2\n"))
	for _, place := range []string{"zones/one.txt:3", "zones/shop.zone:3", "zones/two/x.txt:2"} {
		if err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%s is missing in %v", place, err)
		}
	}
	z, err := included("s NS ns.example.net.\n$INCLUDE one.txt\n", files("one.txt", "; nothing\nx.s MX 1 a.\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "zones/one.txt:2: the MX record of x.s.shop.example.com. is never answered: s.shop.example.com. is handed on by the NS record at zones/shop.zone:1"
	if w := z.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], want) {
		t.Errorf("%q", w)
	}
}

func TestIncludeIsBounded(t *testing.T) {
	t.Parallel()
	many := ""
	chain := fstest.MapFS{}
	for i := range maxIncludes + 1 {
		many += fmt.Sprintf("$INCLUDE f%d.txt\n", i)
		chain[fmt.Sprintf("f%d.txt", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "$INCLUDE f%d.txt\n", i+1)}
	}
	for about, c := range map[string]struct {
		text string
		fsys fstest.MapFS
		says string
	}{
		"above the folder": {"$INCLUDE ../secret.txt\n", files(), "lies outside the zone file's folder"},
		"from the root":    {"$INCLUDE /etc/passwd\n", files(), "lies outside the zone file's folder"},
		"not there":        {"\n$INCLUDE gone.txt\n", files(), "zones/shop.zone:2: the included file gone.txt can't be read"},
		"itself":           {"$INCLUDE a.txt\n", files("a.txt", "$INCLUDE b.txt\n", "b.txt", "$INCLUDE a.txt\n"), "zones/b.txt:1: a.txt includes itself"},
		"too deep":         {"$INCLUDE f247.txt\n", func() fstest.MapFS { chain["f257.txt"] = &fstest.MapFile{}; return chain }(), "at most 8 deep"},
		"too many": {many, files(func() (l []string) {
			for i := range maxIncludes + 1 {
				l = append(l, fmt.Sprintf("f%d.txt", i), "")
			}
			return l
		}()...), "more than 256 files"},
		"too often":   {strings.Repeat("$INCLUDE a.txt\n", maxIncludes+1), files("a.txt", ""), "256 in all"},
		"too large":   {"$INCLUDE a.txt\n", files("a.txt", strings.Repeat(";", maxIncludeBytes+1)), "larger than"},
		"no file":     {"$INCLUDE\n", files(), "wants a file"},
		"odd origin":  {"$INCLUDE a.txt a..b\n", files("a.txt", ""), "is no domain name"},
		"one in four": {"$INCLUDE a.txt a b\n", files("a.txt", ""), "wants a file"},
	} {
		_, err := included(c.text, c.fsys)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q is not in %.300v", about, c.says, err)
		}
	}
}

// The folder that the caller opens holds even where a link leads out of it.
func TestIncludeFollowsNoLinkOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := filepath.Join(dir, "zones")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret.txt"), []byte("s TXT secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret.txt", filepath.Join(inside, "link.txt")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(inside)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got, err := Includes(root.FS(), "$INCLUDE link.txt\n", "a.zone"); err == nil {
		t.Errorf("read %q", got)
	}
}
