package config

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// drillOwner is the label of the name that drills move instead of production's.
const drillOwner = "lifeboat-drill"

// Parts gives what the answer process needs, ready to be put into a snapshot:
// each site followed by the shadow that its drills move, the zones with the
// shadows' names in them, and the features with theirs.
func (c *Config) Parts() (sites []snapshot.Site, zones []zone.Source, features []feature.Flag) {
	for _, s := range c.Sites {
		site := c.site(s)
		sites = append(sites, site, shadow(site))
	}
	names := c.shadowNames()
	for _, z := range c.Zones {
		followed := maps.Clone(z.Follow)
		for _, site := range z.Follow {
			if n := names[site]; n.apex == z.Apex {
				followed[n.name] = snapshot.ShadowID(site)
			}
		}
		z.Challenges = c.proved(z)
		z.NS, z.Follow = slices.Clone(z.NS), followed
		zones = append(zones, z)
	}
	for _, f := range c.Features {
		stand := f
		stand.Key = ShadowFeature(f.Key)
		features = append(features, f, stand)
	}
	return sites, zones, features
}

// proved are the names of a zone that certificates may be asked for: what visitors
// type, what follows a site, and the console.
func (c *Config) proved(z zone.Source) []string {
	names := slices.Collect(maps.Keys(z.Follow))
	typed := []string{c.AskedConsole()}
	for _, s := range c.Sites {
		typed = append(append(typed, s.Names...), s.StatusName)
	}
	for _, name := range typed {
		if below(z.Apex, name) {
			names = append(names, name+".")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// below says whether a name without final dot lies in the zone of an apex with one.
func below(apex, name string) bool { return strings.HasSuffix("."+name+".", "."+apex) }

// ShadowFeature is the key of the stand-in that a drill flips in place of a feature.
func ShadowFeature(key string) string { return snapshot.ShadowID(key) }

// ShadowName is the name, absolute, that a site's drills move: lifeboat-drill
// below the first zone that follows the site, with the site's id behind it where
// an earlier site has that name. It is "" when no zone follows the site.
func (c *Config) ShadowName(siteID string) string { return c.shadowNames()[siteID].name }

// Shadow says whether a name, absolute, is one that drills move.
func (c *Config) Shadow(name string) bool {
	for _, at := range c.shadowNames() {
		if at.name == name {
			return true
		}
	}
	return false
}

// standIn is a shadow's name and the zone that it is in.
type standIn struct{ name, apex string }

func (c *Config) shadowNames() map[string]standIn {
	first := map[string]string{} // site → apex of the first zone that follows it
	for _, z := range c.Zones {
		for _, site := range z.Follow {
			if _, known := first[site]; !known {
				first[site] = z.Apex
			}
		}
	}
	out, taken := map[string]standIn{}, map[string]bool{}
	for _, s := range c.Sites {
		apex, followed := first[s.ID]
		if !followed {
			continue
		}
		name := drillOwner + "." + apex
		if taken[name] {
			name = drillOwner + "-" + s.ID + "." + apex
		}
		taken[name] = true
		out[s.ID] = standIn{name, apex}
	}
	return out
}

// drillLabel says whether a name could be one of ShadowName's.
func drillLabel(name, apex string) bool {
	label := strings.TrimSuffix(name, "."+strings.TrimSuffix(apex, "."))
	return label == drillOwner || strings.HasPrefix(label, drillOwner+"-") && !strings.Contains(label, ".")
}

func (c *Config) site(s Site) snapshot.Site {
	site := snapshot.Site{
		ID: s.ID, Title: s.Title, Names: slices.Clone(s.Names), StatusName: s.StatusName,
		Scheme: s.Scheme, Port: s.Port, Home: s.Home,
		Places:    []string{s.Home},
		Positions: zone.Positions{snapshot.Standby: {IPs: slices.Clone(s.Standby)}},
		Checks:    slices.Clone(s.Checks),
		Standing:  StandbyCheck(s),
		Failover:  s.Failover, Contact: s.Contact,
		Answers: s.Answers, Trust: s.Trust,
	}
	for _, o := range s.Origins {
		site.Positions[o.Name] = zone.Addresses{IPs: slices.Clone(o.Addresses)}
		if o.Alias != "" {
			site.Positions[o.Name] = zone.Addresses{Alias: o.Alias}
			if site.Asked == nil {
				site.Asked = map[string][]netip.Addr{}
			}
			site.Asked[o.Name] = slices.Clone(o.Addresses)
		}
		if o.Name != s.Home {
			site.Places = append(site.Places, o.Name)
		}
	}
	site.Places = append(site.Places, snapshot.Standby)
	for _, card := range c.Levers {
		if card.Site == s.ID && ours(card.Kind) {
			site.Levers = append(site.Levers, localLever(card))
		}
	}
	return site
}

// Positions are all that the sites' names can be pointed at, by site.
func (c *Config) Positions() map[string]zone.Positions {
	out := map[string]zone.Positions{}
	for _, s := range c.Sites {
		out[s.ID] = c.site(s).Positions
	}
	return out
}

// ours says whether a kind of lever moves what answer itself serves. The others answer
// knows nothing of: it could not pull them alone.
func ours(kind string) bool { return kind == kindZone || kind == kindFeature }

// localLever is a lever as answer can pull it by itself.
func localLever(card lever.Card) snapshot.Lever {
	out := snapshot.Lever{Name: card.Name, Title: card.Title, Kind: card.Kind, Site: card.Site}
	switch card.Kind {
	case kindZone:
		var z ZoneLever
		if json.Unmarshal(card.Config, &z) == nil {
			out.Position = z.To
		}
	case kindFeature:
		var f struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		}
		if json.Unmarshal(card.Config, &f) == nil {
			out.Feature, out.Value = f.Key, f.Value
		}
	}
	return out
}

// shadow is the stand-in of a site: the same positions under a name that no
// visitor uses. Nothing checks it and nothing moves it but a drill.
func shadow(s snapshot.Site) snapshot.Site {
	return snapshot.Site{
		ID: snapshot.ShadowID(s.ID), Shadow: s.ID, Title: s.Title,
		Scheme: s.Scheme, Port: s.Port, Home: s.Home,
		Places: slices.Clone(s.Places), Positions: maps.Clone(s.Positions),
		Failover: "off",
	}
}

// StandbyCheck asks whether the standby answers for the site as it will in a
// crisis (rule R2): our page, marked as ours, at the site's own name. It is asked
// of the standby's addresses only, as often as the site's fastest check.
func StandbyCheck(s Site) probe.Check {
	c := probe.Check{
		Name: StandbyCheckName, Kind: probe.KindHTTP, Path: "/", Method: "GET",
		Status: 503, Header: "Lifeboat-Standby: " + s.ID,
		Every: everySpan.def, Timeout: timeoutSpan.def, DownAfter: 3, UpAfter: 5,
	}
	if len(s.Checks) == 0 {
		return c
	}
	fastest := slices.MinFunc(s.Checks, func(a, b probe.Check) int { return int(a.Every - b.Every) })
	c.Every, c.Timeout = fastest.Every, fastest.Timeout
	c.DownAfter, c.UpAfter = fastest.DownAfter, fastest.UpAfter
	return c
}
