package config

import (
	"strings"
	"testing"
	"time"
)

// Zones are looked at from outside where the world could see them, or where it is
// written.
func TestOutside(t *testing.T) {
	t.Parallel()
	const here, there = "nameservers: {ns1.example.net.: 127.0.0.1:5354}\n", "nameservers: {ns1.example.net.: 127.0.0.1, ns2.example.net.: 198.51.100.53}\n"
	for text, want := range map[string]Outside{
		"":                             {},
		here:                           {},
		there:                          {Every: time.Hour},
		there + "dns: {watch: off}\n":  {},
		here + "dns: {watch: {}}\n":    {Every: time.Hour},
		"dns: {watch: {every: 10m}}\n": {Every: 10 * time.Minute},
		"dns: {watch: {rdap: off}}\n":  {Every: time.Hour},
		"dns: {watch: {rdap: \"https://rdap.org/\"}}\n": {Every: time.Hour, RDAP: "https://rdap.org/"},
	} {
		c, err := Parse("x.yaml", []byte(minimal+text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := c.Outside; got.Every != want.Every || got.RDAP != want.RDAP || len(got.From) != 0 {
			t.Errorf("%q: %+v", text, got)
		}
	}
	c, err := Parse("x.yaml", []byte(minimal+"dns: {watch: {from: [192.0.2.53, \"127.0.0.1:5300\"]}}\n"))
	if err != nil || len(c.Outside.From) != 2 || c.Outside.From[1].Port() != 5300 {
		t.Errorf("%+v, %v", c, err)
	}
	for text, want := range map[string]string{
		"dns: {watch: {every: 1s}}\n":                  "from 10s",
		"dns: {watch: {from: [root]}}\n":               "not an address",
		"dns: {watch: {rdap: \"http://rdap.org/\"}}\n": "no https address",
		"dns: {watch: {zones: all}}\n":                 "all zones are looked at",
		"dns: {watch: on}\n":                           "expected",
	} {
		if _, err := Parse("x.yaml", []byte(minimal+text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
