package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/snapshot"
)

const httpsSite = `sites: {shop: {names: [shop.example.com], origins: {main: {address: 203.0.113.10}}, standby: {address: 198.51.100.7%s}%s}}
zones: {shop.example.com: {ns: [ns1.example.net.], follow: {"@": shop}}}
`

func withStandby(standby, site string) string {
	return strings.Replace(strings.Replace(httpsSite, "%s", standby, 1), "%s", site, 1)
}

func TestStandbyAnswers(t *testing.T) {
	t.Parallel()
	c, err := Parse("x.yaml", []byte(withStandby(`, api: [/api/, /graphql], health: [/up], robots: "User-agent: *\nDisallow: /\n", well_known: {security.txt: "Contact: a", "appspecific/x.json": "{}"}`, "")))
	if err != nil {
		t.Fatal(err)
	}
	sites, _, _ := c.Parts()
	want := snapshot.Answers{API: []string{"/api/", "/graphql"}, Health: []string{"/up"}, Robots: "User-agent: *\nDisallow: /\n", WellKnown: map[string]string{"security.txt": "Contact: a", "appspecific/x.json": "{}"}}
	if d := cmp.Diff(want, sites[0].Answers); d != "" {
		t.Error(d)
	}
	if c, err := Parse("x.yaml", []byte(withStandby("", ""))); err != nil || !c.Sites[0].Answers.IsZero() {
		t.Errorf("said nothing: %v", err)
	}
	if c, err := Parse("x.yaml", []byte(withStandby(", api: []", ""))); err != nil || c.Sites[0].Answers.IsZero() {
		t.Errorf("said none: %v", err)
	}
}

func TestBadStandbyAnswers(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		", api: [api]":                        "is not a path",
		", api: [/]":                          "is not a path",
		`, health: ["/a?b"]`:                  "is not a path",
		", api: [[/a]]":                       "expected",
		", robots: 5":                         "expected text",
		`, robots: ""`:                        "0",
		", well_known: {../x: a}":             "is no name of a file",
		", well_known: {acme-challenge/x: a}": "is no name of a file",
		", well_known: {standby.json: a}":     "is no name of a file",
		", well_known: {/x: a}":               "is no name of a file",
		", robots: " + strings.Repeat("x", maxAnswerBytes+1) + "": "fit",
	} {
		_, err := Parse("x.yaml", []byte(withStandby(text, "")))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der := func(authority bool) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0), IsCA: authority, BasicConstraintsValid: true}
		b, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		must(t, err)
		return b
	}
	write := func(name, kind string, der []byte) {
		must(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write("ca.pem", "CERTIFICATE", der(true))
	write("leaf.pem", "CERTIFICATE", der(false))
	write("key.pem", "PRIVATE KEY", []byte("x"))
	must(t, os.WriteFile(filepath.Join(dir, "empty.pem"), []byte("nothing"), 0o600))
	file := filepath.Join(dir, "x.yaml")
	load := func(text string) (*Config, error) {
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return Load(file)
	}
	c, err := load(withStandby("", ", ca_file: ca.pem"))
	if err != nil || len(c.Sites[0].Trust) != 1 {
		t.Fatalf("%v", err)
	}
	for name, says := range map[string]string{"leaf.pem": "something else", "key.pem": "something else", "empty.pem": "0 certificates", "none.pem": "can't read", "../ca.pem": "not inside"} {
		if _, err := load(withStandby("", ", ca_file: "+name)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err = load(withStandby("", ", scheme: http, ca_file: ca.pem"))
	if err != nil || !strings.Contains(strings.Join(c.Warnings(), "\n"), "plain http") {
		t.Errorf("a site of http: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
