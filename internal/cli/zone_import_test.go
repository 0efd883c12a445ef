package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestZoneImport(t *testing.T) {
	t.Parallel()
	const good = "$TTL 300\n@ IN SOA ns1 h 7 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 192.0.2.1\nwww IN A 192.0.2.2\n"
	in, out := t.TempDir(), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(in, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("db.one", good)
	write("db.two", good)
	conf := write("named.conf", `options { directory "`+in+`"; }; zone "one.example" { type master; file "db.one"; }; zone "two.example" { type master; file "db.two"; }; zone "." { type hint; file "x"; };`)
	r := command(t, "zone", "import", conf, "--to", out)
	if r.code != 0 || !strings.Contains(r.out, "  one.example:   # 4 records, serial 7\n    file: one.example.zone\n") || !strings.Contains(r.err, "zone . is of type hint") {
		t.Errorf("exit %d, %s, %s", r.code, r.out, r.err)
	}
	text, err := os.ReadFile(filepath.Join(out, "two.example.zone"))
	if err != nil || !strings.Contains(string(text), "www.two.example.") {
		t.Errorf("%s, %v", text, err)
	}
	if r := command(t, "zone", "import", conf, "--to", out); r.code != 1 || !strings.Contains(r.err, "there already") {
		t.Errorf("once more: exit %d, %s", r.code, r.err)
	}
	other := t.TempDir()
	write("db.two", good+"www IN A 192.0.2.400\n")
	if r := command(t, "zone", "import", conf, "--to", other); r.code != 1 || !strings.Contains(r.err, "db.two:6") {
		t.Errorf("a bad zone: exit %d, %s", r.code, r.err)
	}
	if left, _ := os.ReadDir(other); len(left) != 0 {
		t.Errorf("with a bad zone, %d files are written", len(left))
	}
	if r := command(t, "zone", "import", write("db.three.example", "$ORIGIN three.example.\n"+good), "--to", other); r.code != 0 || !strings.Contains(r.out, "three.example.zone") {
		t.Errorf("a zone file: exit %d, %s, %s", r.code, r.out, r.err)
	}
}
