package control

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/config"
)

// harbour is a configuration with two sites, one of them by https, in two zones.
const harbour = `
nameservers: {ns1.example.net.: 192.0.2.1, ns2.example.net.: 192.0.2.2}
sites:
  shop: {names: [shop.example.com, www.shop.example.com], status_page: status.example.org, origins: {main: {address: 203.0.113.10}}, standby: {address: 198.51.100.7}}
  blog: {names: [blog.example.com], scheme: http, origins: {main: {address: 203.0.113.11}}, standby: {address: 198.51.100.7}}
zones:
  example.com: {ns: [ns1.example.net.], follow: {shop: shop, www.shop: shop, api.shop: shop, blog: blog}}
  shop.example.com: {ns: [ns2.example.net.], follow: {deep: shop}}
levers: {to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}}
certificates: {}
`

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("lifeboat.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatCertificatesAreFor(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("www.shop: shop, api.shop: shop, ", "", "shop: shop, ", "", "follow: {deep: shop}", `follow: {"@": shop, www: shop, api: shop}`).Replace(harbour)
	c := parsed(t, text)
	got := wantedNames(c)
	if len(got) != 1 || got[0].ID != "shop" || strings.Join(got[0].Names, " ") != "shop.example.com www.shop.example.com status.example.org" {
		t.Errorf("%+v", got)
	}
	for console, want := range map[string]string{
		"console: {url: \"https://boat.shop.example.com:8443\"}": "boat.shop.example.com", // in a zone of ours
		"console: {url: \"https://boat.elsewhere.example\"}":     "",
	} {
		c := parsed(t, text+console+"\n")
		c.Certificates = &config.Certificates{Directory: "https://ca.example.net/dir"}
		got := wantedNames(c)
		if last := got[len(got)-1]; want == "" && last.Here || want != "" && (!last.Here || last.Names[0] != want) {
			t.Errorf("%s: %+v, want %q", console, got, want)
		}
		c.ConsoleCert = "console.pem"
		if c.AskedConsole() != "" {
			t.Error("asked although files are named")
		}
	}
	if got := below(c, "shop.example.com"); strings.Join(got, " ") != "api.shop.example.com www.shop.example.com" {
		t.Errorf("below: %v", got)
	}
	for name, want := range map[string]string{
		"_acme-challenge.www.shop.example.com.": "192.0.2.2:53", "blog.example.com": "192.0.2.1:53", "example.org": "192.0.2.1:53 192.0.2.2:53",
	} {
		var got []string
		for _, a := range serversOf(c, name) {
			got = append(got, a.String())
		}
		if slices.Sort(got); strings.Join(got, " ") != want {
			t.Errorf("%s is asked at %v, want %s", name, got, want)
		}
	}
}

func TestSystemResolvers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("# a comment\nsearch example.com\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver 2001:db8::53\noptions edns0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := systemResolvers(path)
	if len(got) != 2 || got[0] != netip.MustParseAddrPort("192.0.2.53:53") || got[1] != netip.MustParseAddrPort("[2001:db8::53]:53") {
		t.Errorf("%v", got)
	}
	if got := systemResolvers(filepath.Join(t.TempDir(), "none")); got != nil {
		t.Errorf("%v", got)
	}
}

func TestWhereTheStandbyIsAsked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "invalid AddrPort", "0.0.0.0:443": "127.0.0.1:443", "[::]:443": "[::1]:443", "192.0.2.7:8443": "192.0.2.7:8443"} {
		if got := ownListener(text).String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if why := fromHereOnly([]netip.Addr{netip.MustParseAddr("127.9.9.9")}); why == "" {
		t.Error("this machine counts as outside")
	}
	if why := fromHereOnly([]netip.Addr{netip.MustParseAddr("198.51.100.7")}); why != "" {
		t.Error(why)
	}
}

// A configuration whose roots can't be read is refused with the place.
func TestRootsOfAnAuthority(t *testing.T) {
	t.Parallel()
	c := parsed(t, strings.NewReplacer("www.shop: shop, api.shop: shop, ", "", "shop: shop, ", "", "follow: {deep: shop}", `follow: {"@": shop}`).Replace(harbour))
	c.Certificates.RootsFile = filepath.Join(t.TempDir(), "roots.pem")
	if _, err := trustedRoots(c); err == nil || !strings.Contains(err.Error(), "roots.pem") {
		t.Errorf("%v", err)
	}
	c.Certificates.RootsFile = ""
	if _, err := trustedRoots(c); err != nil {
		t.Error(err)
	}
}

// The key of an account elsewhere is Base64 of either kind, and no error shows it.
func TestKeyOfAnAccountElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "eab.key")
	for text, good := range map[string]bool{"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W": true, "////////////////////////////+w==\n": true, "not base64 at all": false, "c2hvcnQ": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := authorityOf(&config.Certificates{Directory: "https://ca.example.net/dir", KeyID: "kid-1", MACKeyFile: path}, nil)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("the key is shown: %v", err)
		}
	}
}
