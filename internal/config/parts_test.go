package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/feature"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

func TestPartsAreWhatAnswerNeeds(t *testing.T) {
	t.Parallel()
	c, err := Load("testdata/good/lifeboat.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sites, zones, features := c.Parts()
	positions := zone.Positions{
		"main": {IPs: addrs("203.0.113.10")}, "backup": {IPs: addrs("203.0.113.20", "2001:db8::20")}, "standby": {IPs: addrs("198.51.100.7")},
	}
	places := []string{"backup", "main", "standby"}
	want := []snapshot.Site{
		{
			ID: "shop", Title: "Example Shop", Names: goodShop.Names, StatusName: "status.example.org", Scheme: "http", Port: 8080,
			Home: "backup", Places: places, Positions: positions, Checks: slices.Clone(goodShop.Checks), Standing: StandbyCheck(goodShop),
			Failover: "auto", Contact: "Call us",
			Levers: []snapshot.Lever{
				{Name: "to-standby", Title: "Show visitors the status page", Kind: "zone", Site: "shop", Position: "standby"},
				{Name: "to-main", Title: "To main", Kind: "zone", Site: "shop", Position: "main"},
			},
		},
		{
			ID: "shop~drill", Shadow: "shop", Title: "Example Shop", Scheme: "http", Port: 8080,
			Home: "backup", Places: places, Positions: positions, Failover: "off",
		},
	}
	if diff := cmp.Diff(want, sites[:2], same); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]snapshot.Lever{{
		Name: "close-checkout", Title: "Close the checkout", Kind: "feature", Site: "blog", Feature: "checkout.v2", Value: []byte("false"),
	}}, sites[2].Levers); diff != "" {
		t.Error(diff)
	}
	if got := len(sites); got != 4 {
		t.Errorf("%d sites, want each with its shadow", got)
	}
	wantFollow := map[string]string{
		"shop.example.com.": "shop", "www.shop.example.com.": "shop", "blog.shop.example.com.": "blog",
		"lifeboat-drill.shop.example.com.": "shop~drill", "lifeboat-drill-blog.shop.example.com.": "blog~drill",
	}
	if diff := cmp.Diff(wantFollow, zones[0].Follow); diff != "" {
		t.Error(diff)
	}
	if len(c.Zones[0].Follow) != 3 || zones[1].Follow != nil {
		t.Errorf("Parts changed the configuration: %v, %v", c.Zones[0].Follow, zones[1].Follow)
	}
	wantFeatures := []feature.Flag{c.Features[0], c.Features[0], c.Features[1], c.Features[1]}
	wantFeatures[1].Key, wantFeatures[3].Key = "checkout.v2~drill", "banner~drill"
	if diff := cmp.Diff(wantFeatures, features); diff != "" {
		t.Error(diff)
	}
}

// What people need for causes, fixes and updates is control's alone: the data plane
// gets the same with and without it, and so do the shadows of drills.
func TestPartsHoldNothingOfTheLoop(t *testing.T) {
	t.Parallel()
	const site = `    capture: {paths: [/cart], metrics: {port: 9100}, logs: [/var/log/shop.log]}
    fixes: {approval: 1m, pause: 1s, apart: 1m, rest: 1m, passes: 9}
    update_every: 1m
    stuck: 1m
    look_back: 1h
`
	const loop = `resolvers: {quad9: 9.9.9.9}
contacts: [{name: Ada, phone: "1"}]
actions:
  to-standby: {title: X, exec: [/bin/true], undo: {webhook: {url: "http://127.0.0.1:1/", secret_file: a}}}
channels:
  chat: {webhook: {url: "http://127.0.0.1:1/"}}
`
	const rest = `    checks: {home: {http: {path: /}}}
zones: {shop.example.com: {ns: [ns1.example.net.], follow: {"@": shop}}}
levers: {to-standby: {title: X, zone: {site: shop, to: standby}}}
features: {f: {value: true, off: false}}
`
	without, err := Parse("x.yaml", []byte(minimal+rest))
	if err != nil {
		t.Fatal(err)
	}
	with, err := Parse("x.yaml", []byte(minimal+site+rest+loop))
	if err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(without.Sites, with.Sites, same) || len(with.Resolvers)*len(with.Contacts)*len(with.Actions)*len(with.Channels) == 0 {
		t.Fatal("nothing of the loop was read")
	}
	type parts struct {
		Sites    []snapshot.Site
		Zones    []zone.Source
		Features []feature.Flag
	}
	var a, b parts
	a.Sites, a.Zones, a.Features = without.Parts()
	b.Sites, b.Zones, b.Features = with.Parts()
	b.Zones[0].Line = a.Zones[0].Line // the text stands further down
	if diff := cmp.Diff(a, b, same); diff != "" {
		t.Error(diff)
	}
}

func TestShadowName(t *testing.T) {
	t.Parallel()
	c := &Config{
		Sites: []Site{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}},
		Zones: []zone.Source{
			{Apex: "one.example."},
			{Apex: "two.example.", Follow: map[string]string{"two.example.": "a", "b.two.example.": "b"}},
			{Apex: "three.example.", Follow: map[string]string{"three.example.": "a", "x.three.example.": "c"}},
		},
	}
	for id, want := range map[string]string{
		"a": "lifeboat-drill.two.example.", "b": "lifeboat-drill-b.two.example.", "c": "lifeboat-drill.three.example.", "d": "", "none": "",
	} {
		if got := c.ShadowName(id); got != want {
			t.Errorf("ShadowName(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestStandbyCheck(t *testing.T) {
	t.Parallel()
	base := probe.Check{
		Name: "standby", Kind: "http", Path: "/", Method: "GET", Status: 503, Header: "Lifeboat-Standby: shop",
		Every: 5 * time.Second, Timeout: 2 * time.Second, DownAfter: 3, UpAfter: 5,
	}
	if diff := cmp.Diff(base, StandbyCheck(Site{ID: "shop"})); diff != "" {
		t.Error(diff)
	}
	fast := base
	fast.Every, fast.Timeout, fast.DownAfter, fast.UpAfter = 250*time.Millisecond, 100*time.Millisecond, 2, 1
	s := Site{ID: "shop", Checks: []probe.Check{
		{Every: time.Second, Timeout: time.Second, DownAfter: 9, UpAfter: 9},
		{Every: 250 * time.Millisecond, Timeout: 100 * time.Millisecond, DownAfter: 2, UpAfter: 1},
	}}
	if diff := cmp.Diff(fast, StandbyCheck(s)); diff != "" {
		t.Error(diff)
	}
}

// Names of drills can't be followed in a file, whatever the site is called.
func TestDrillLabel(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"lifeboat-drill.a.example": true, "lifeboat-drill-shop.a.example": true, "a.example": false,
		"www.a.example": false, "x.lifeboat-drill.a.example": false, "lifeboat-drills.a.example": false,
	} {
		if got := drillLabel(name, "a.example."); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !strings.HasPrefix(drillOwner, "lifeboat") {
		t.Error(drillOwner)
	}
}
