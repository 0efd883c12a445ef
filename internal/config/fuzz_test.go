package config

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/snapshot"
)

// FuzzParse: whatever the text, there is an answer; every problem has a place and
// a next step, and what is taken keeps the promises that others build on.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(read(f, file))
	}
	f.Add(Example())
	f.Add([]byte(uncommented()))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("x.yaml", data)
		if err != nil {
			if c != nil {
				t.Error("a configuration came with the error")
			}
			wellFormed(t, "x.yaml", err)
			return
		}
		promises(t, c)
	})
}

// promises checks what Parts owes for any file that was taken.
func promises(t *testing.T, c *Config) {
	t.Helper()
	sites, zones, features := c.Parts()
	if len(sites) == 0 || len(sites) != 2*len(c.Sites) || len(features) != 2*len(c.Features) {
		t.Fatalf("%d sites, %d features", len(sites), len(features))
	}
	ids := map[string]bool{}
	for _, s := range sites {
		ids[s.ID] = true
		if s.Places[0] != s.Home || s.Places[len(s.Places)-1] != snapshot.Standby || len(s.Places) < 2 {
			t.Errorf("places of %s: %v, home %q", s.ID, s.Places, s.Home)
		}
		for _, p := range s.Places {
			ips := append(slices.Clone(s.Positions[p].IPs), s.Asked[p]...)
			if s.Shadow != "" && s.Positions[p].Alias != "" {
				continue // nothing checks it
			}
			if len(ips) == 0 || slices.ContainsFunc(ips, func(a netip.Addr) bool { return !a.IsValid() }) {
				t.Errorf("%s at %s: %v", s.ID, p, ips)
			}
		}
		for _, l := range s.Levers {
			if l.Position == s.Home || (l.Position == "") == (l.Feature == "") || l.Title == "" {
				t.Errorf("lever %+v of %s", l, s.ID)
			}
		}
	}
	apexes := map[string]bool{}
	for _, z := range zones {
		if apexes[z.Apex] || z.Apex != strings.ToLower(z.Apex) || !strings.HasSuffix(z.Apex, ".") || z.TTL == 0 || z.Minimum == 0 {
			t.Errorf("zone %+v", z)
		}
		apexes[z.Apex] = true
		for owner, site := range z.Follow {
			if !ids[site] || owner != z.Apex && !strings.HasSuffix(owner, "."+z.Apex) {
				t.Errorf("%s follows %s in %s", owner, site, z.Apex)
			}
		}
	}
	loopPromises(t, c)
	for _, w := range c.Warnings() {
		if !strings.HasPrefix(w, "x.yaml:") || !strings.HasSuffix(w, ")") {
			t.Errorf("warning without place or next step: %s", w)
		}
	}
}

// loopPromises checks what control builds on for causes, fixes and updates.
func loopPromises(t *testing.T, c *Config) {
	t.Helper()
	sites := map[string]bool{}
	for _, s := range c.Sites {
		sites[s.ID] = true
		f := s.Fixes
		if min(f.Approval, f.Pause, f.Apart, f.Rest, s.UpdateEvery, s.Stuck, s.LookBack) <= 0 || f.Passes < 1 {
			t.Errorf("site %s: %+v", s.ID, s)
		}
		if len(s.Capture.Paths) > maxCapturePaths || len(s.Capture.Logs) > maxCaptureLogs {
			t.Errorf("site %s captures %+v", s.ID, s.Capture)
		}
		for _, p := range append(s.Capture.Paths, s.Capture.Logs...) {
			if !strings.HasPrefix(p, "/") {
				t.Errorf("site %s captures %q", s.ID, p)
			}
		}
		if m := s.Capture.Metrics; m != nil && (!strings.HasPrefix(m.Path, "/") || m.Port < 1 || m.Port > 65535) {
			t.Errorf("site %s: %+v", s.ID, m)
		}
	}
	for _, r := range c.Resolvers {
		if !r.Address.IsValid() || r.Address.Port() == 0 || !idPattern.MatchString(r.Name) {
			t.Errorf("resolver %+v", r)
		}
	}
	for _, p := range c.Contacts {
		if p.Name == "" || p.Phone == "" || len(c.Contacts) > maxContacts {
			t.Errorf("contact %+v", p)
		}
	}
	for _, a := range c.Actions {
		if !sites[a.Site] || a.Title == "" || a.Deadline <= 0 || !idPattern.MatchString(a.Name) {
			t.Errorf("action %+v", a)
		}
		actPromises(t, Act{a.Exec, a.Webhook})
		if a.Undo != nil {
			actPromises(t, *a.Undo)
		}
	}
	for _, ch := range c.Channels {
		actPromises(t, Act{Webhook: &ch.Webhook})
		if len(ch.Tells) == 0 || len(ch.Tells) > 3 {
			t.Errorf("channel %+v", ch)
		}
	}
}

func actPromises(t *testing.T, a Act) {
	t.Helper()
	if (len(a.Exec) > 0) == (a.Webhook != nil) || len(a.Exec) > 0 && !filepath.IsAbs(a.Exec[0]) {
		t.Errorf("act %+v", a)
	}
	if a.Webhook == nil {
		return
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Webhook.URL, http.NoBody)
	if err != nil || r.URL.Hostname() == "" || r.URL.User != nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		t.Errorf("webhook %+v: %v", a.Webhook, err)
	}
}
