package zone

import (
	"errors"
	"strings"
	"testing"
)

func TestNamedConf(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"/etc/bind/named.conf": `// of the distribution
# more
include "/etc/bind/named.conf.options";
acl inside { 10.0.0.0/8; { 192.0.2.1; }; };
include "named.conf.local";
logging { channel x { file "/var/log/x" versions 3; }; category default { x; }; };
zone "." { type hint; file "/usr/share/dns/root.hints"; };
/* zone "commented.example" { type master; file "no"; }; */
view "all" IN { match-clients { any; }; zone "In.View.example" in { type primary; allow-transfer { none; }; file "/zones/view"; }; };
zone "far.example" { type slave; masters { 192.0.2.1; }; file "far"; };
`,
		"/etc/bind/named.conf.options":     "options { directory \"/var/cache/bind\"; listen-on { any; }; };\n",
		"/var/cache/bind/named.conf.local": "zone \"example.com\" {\n\ttype master;\n\tfile \"db.example.com\"; // here\n};\nzone example.net { file \"n\"; type master; notify yes; };",
	}
	read := func(name string) (string, error) {
		if text, ok := files[name]; ok {
			return text, nil
		}
		return "", errors.New("no file " + name)
	}
	zones, skipped, err := NamedConf("/etc/bind/named.conf", read)
	if err != nil {
		t.Fatal(err)
	}
	want := []NamedZone{
		{"example.com.", "/var/cache/bind/db.example.com", "/var/cache/bind/named.conf.local:1"},
		{"example.net.", "/var/cache/bind/n", "/var/cache/bind/named.conf.local:5"},
		{"in.view.example.", "/zones/view", "/etc/bind/named.conf:9"},
	}
	if len(zones) != len(want) {
		t.Fatalf("%+v", zones)
	}
	for i, z := range zones {
		if z != want[i] {
			t.Errorf("%+v, want %+v", z, want[i])
		}
	}
	if len(skipped) != 2 || !strings.Contains(skipped[1], "far.example. is of type slave") {
		t.Errorf("%q", skipped)
	}
	loop := func(string) (string, error) { return `include "x"; include "y";`, nil }
	if _, _, err := NamedConf("a", loop); err == nil {
		t.Error("includes without end are taken")
	}
	for text, is := range map[string]bool{
		files["/etc/bind/named.conf"]: true, "zone \"x\" {": true, "options {\n};": true, "$ORIGIN example.com.\n@ IN SOA a b 1 2 3 4 5\n": false, "": false, "zone IN A 192.0.2.1\n": false,
	} {
		if IsNamedConf(text) != is {
			t.Errorf("%q: %t", text, !is)
		}
	}
}

func FuzzNamedConf(f *testing.F) {
	f.Add(`zone "a" { type master; file "b"; }; options { directory "x"; };`)
	f.Add(`include "a"; view x { zone b in { }; };`)
	f.Add("/* \" { } ;")
	f.Fuzz(func(t *testing.T, text string) {
		IsNamedConf(text)
		zones, _, err := NamedConf("named.conf", func(string) (string, error) { return text, nil })
		if err == nil && len(zones) > maxNamedZones {
			t.Errorf("%d zones", len(zones))
		}
	})
}
