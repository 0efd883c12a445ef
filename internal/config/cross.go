package config

import (
	"encoding/json"
	"slices"
	"strings"

	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/zone"
)

// slowTTL is where a TTL is long enough to keep visitors at a dead address.
const slowTTL = 300 // seconds

// cross checks what only shows when sections are laid beside each other.
func (b *builder) cross() {
	b.uniqueNames()
	for _, s := range b.c.Sites {
		b.addresses(s)
		b.automatic(s)
		b.watched(s)
		b.followed(s)
		b.spoken(s)
	}
	for i, z := range b.c.Zones {
		b.followers(z, b.zoneKeys[i])
		b.answered(z, b.zoneKeys[i])
		b.slow(z, b.zoneKeys[i])
	}
	b.drillNames()
	b.switches()
	b.defaults()
	b.pagesNeedKeys()
	b.cached()
	b.reached()
	b.consoleReached()
}

// uniqueNames checks that no host name belongs to two sites, or to a site and a
// status page.
func (b *builder) uniqueNames() {
	owner := map[string]string{}
	for _, s := range b.c.Sites {
		for _, name := range s.Names {
			if other, taken := owner[name]; taken {
				b.invalid(b.nameAt(s, name), "%s belongs to site %s already", name, other).WithHint("leave it to one of the two")
				continue
			}
			owner[name] = s.ID
		}
	}
	for _, s := range b.c.Sites {
		if s.StatusName == "" {
			continue
		}
		if other, taken := owner[s.StatusName]; taken {
			b.invalid(b.at("sites", s.ID, "status_page"), "the status page of site %s is at %s, which belongs to site %s", s.ID, s.StatusName, other).
				WithHint("give it a name of its own, for example status.%s", s.StatusName)
			continue
		}
		owner[s.StatusName] = s.ID
	}
}

// nameAt finds where a site's name is written.
func (b *builder) nameAt(s Site, name string) position {
	names := b.root.get("sites").get(s.ID).get("names")
	if names != nil {
		for _, n := range names.items {
			if strings.EqualFold(strings.TrimSuffix(n.text, "."), name) {
				return n.at
			}
		}
	}
	return b.at("sites", s.ID)
}

// addresses checks that moving a site changes something: positions differ.
func (b *builder) addresses(s Site) {
	for i, o := range s.Origins {
		for _, other := range s.Origins[:i] {
			if o.Alias != "" && o.Alias == other.Alias {
				b.invalid(b.keyAt("sites", s.ID, "origins", o.Name), "origins %s and %s of site %s are aliases of the same name, %s", other.Name, o.Name, s.ID, o.Alias).
					WithHint("give each its own, or make them one origin")
			}
		}
		for _, a := range o.Addresses {
			if slices.Contains(s.Standby, a) {
				b.invalid(b.keyAt("sites", s.ID, "standby"), "the standby of site %s has the address of origin %s, %s", s.ID, o.Name, a).
					WithHint("the standby needs a machine of its own, with an address of its own")
			}
			for _, other := range s.Origins[:i] {
				if slices.Contains(other.Addresses, a) {
					b.invalid(b.keyAt("sites", s.ID, "origins", o.Name), "origins %s and %s of site %s share the address %s", other.Name, o.Name, s.ID, a).
						WithHint("give each its own addresses, or make them one origin")
				}
			}
		}
	}
}

// automatic checks that a site which may move by itself can.
func (b *builder) automatic(s Site) {
	if s.Failover != "auto" {
		return
	}
	at := b.at("sites", s.ID, "failover")
	if !slices.ContainsFunc(b.c.Levers, func(c lever.Card) bool { return c.Kind == kindZone && c.Site == s.ID }) {
		b.invalid(at, "site %s fails over by itself, and no lever moves it", s.ID).
			WithHint("add a lever: to-standby: {title: Show visitors the status page, zone: {site: %s, to: standby}}, or write failover: propose", s.ID)
	}
	if len(s.Checks) == 0 {
		b.invalid(at, "site %s fails over by itself, and nothing checks it", s.ID).
			WithHint("add checks: {home: {http: {path: /}}}, or write failover: propose")
	}
}

// watched warns of a site that nothing looks at.
func (b *builder) watched(s Site) {
	at := b.keyAt("sites", s.ID)
	if len(s.Checks) == 0 {
		if s.Failover != "auto" {
			b.warn(at, "nothing checks site %s: lifeboat can't see whether it works", s.ID).WithHint("add checks: {home: {http: {path: /}}}")
		}
		return
	}
	for _, c := range s.Checks {
		if c.Gate {
			return
		}
	}
	b.warn(b.keyAt("sites", s.ID, "checks"), "no check of site %s must pass before visitors go back", s.ID).WithHint("leave out gate: false at one of them")
}

// followed warns of names that no lever of ours can move.
func (b *builder) followed(s Site) {
	for _, name := range s.Names {
		if apex, theirs := b.c.PrimaryOf(name + "."); theirs && b.follows(name+".") != s.ID {
			b.warn(b.nameAt(s, name), "%s lies in %s, whose answers and signatures come from its primary: a lever will not move it", name, apex).
				WithHint("have the primary delegate %s to a zone of its own under zones, or make it an alias of a name in one", name)
			continue
		}
		if b.follows(name+".") != s.ID {
			b.warn(b.nameAt(s, name), "no zone lets %s follow site %s: a lever will not move it", name, s.ID).
				WithHint("add it to follow: of its zone, for example %q: %s", name+".", s.ID)
		}
	}
}

func (b *builder) follows(owner string) string {
	for _, z := range b.c.Zones {
		if site, ok := z.Follow[owner]; ok {
			return site
		}
	}
	return ""
}

// spoken warns where the standby can't speak as visitors do.
func (b *builder) spoken(s Site) {
	if s.Scheme == "https" && len(s.Standby) > 0 && b.c.Certificates == nil {
		b.warn(b.keyAt("sites", s.ID, "standby"), "visitors of site %s come by https, and the standby has no certificates: it answers over plain http", s.ID).
			WithHint("add certificates: {ca: letsencrypt, agree: true}, or let something that holds the site's certificate end TLS at the standby's addresses")
	}
}

// followers checks that a zone's following names belong to sites, and to it.
func (b *builder) followers(z zone.Source, key string) {
	owners := b.root.get("zones").get(key).get("follow")
	if owners == nil {
		return
	}
	for _, e := range owners.entries {
		owner := absoluteOwner(e.key, z.Apex)
		id, ok := z.Follow[owner]
		if !ok {
			continue // refused already
		}
		if child := b.closest(owner); child != z.Apex {
			b.invalid(e.at, "%s belongs to zone %s, not to %s", owner, child, z.Apex).WithHint("move this line to follow: of zone %s", child)
		}
		site := b.siteOf(e.value.at, "follow of zone "+key, id)
		if site == nil {
			continue
		}
		b.expected(*site, owner, e.at)
	}
}

// expected warns of a following name that the standby would not know.
func (b *builder) expected(s Site, owner string, at position) {
	name := strings.TrimSuffix(owner, ".")
	switch {
	case name == s.StatusName:
		b.warn(at, "%s is the status page of site %s and follows it: in calm it leads to production", name, s.ID).
			WithHint("take it out of follow: and give it the standby's address in records:")
	case !slices.Contains(s.Names, name):
		b.warn(at, "%s follows site %s but is none of its names: the standby will turn its visitors away", name, s.ID).
			WithHint("add it to names: of site %s", s.ID)
	}
}

// closest gives the apex of the zone that a name belongs to.
func (b *builder) closest(name string) string {
	best := ""
	for _, z := range b.c.Zones {
		if (name == z.Apex || strings.HasSuffix(name, "."+z.Apex)) && len(z.Apex) > len(best) {
			best = z.Apex
		}
	}
	return best
}

// answered warns of name servers whose answers nobody reads back.
func (b *builder) answered(z zone.Source, key string) {
	if len(b.c.Nameservers) == 0 {
		b.warn(b.keyAt("zones", key), "no name server of zone %s can be asked what it answers: no lever can be seen to work", z.Apex).
			WithHint("add nameservers: {ns1.example.net.: 127.0.0.1:5354} with each server's own name and address")
		return
	}
	for i, ns := range z.NS {
		if !slices.ContainsFunc(b.c.Nameservers, func(n Nameserver) bool { return n.Name == ns }) {
			b.warn(b.at("zones", key, "ns", index(i)), "%s is not asked what it answers", ns).
				WithHint("add it to nameservers: with the address it is asked at")
		}
	}
}

// slow warns of waits that a failover would have to sit through.
func (b *builder) slow(z zone.Source, key string) {
	if len(z.Follow) == 0 {
		return
	}
	if z.TTL > slowTTL {
		b.warn(b.at("zones", key, "ttl"), "names of zone %s move, and their answers are kept for %d s: visitors would wait that long", z.Apex, z.TTL).
			WithHint("write ttl: 60s, now: in a crisis it is too late")
	}
	if z.Minimum > slowTTL {
		b.warn(b.at("zones", key, "minimum"), "names of zone %s move, and \"no such name\" is kept for %d s", z.Apex, z.Minimum).
			WithHint("write minimum: 60s")
	}
}

// drillNames warns where a name that drills move has records of its own.
func (b *builder) drillNames() {
	names := map[string]map[string]string{} // apex → name → site
	for site, n := range b.c.shadowNames() {
		if names[n.apex] == nil {
			names[n.apex] = map[string]string{}
		}
		names[n.apex][n.name] = site
	}
	for i, z := range b.c.Zones {
		for _, name := range mentioned(z.Text, z.Apex, names[z.Apex]) {
			b.warn(b.at("zones", b.zoneKeys[i], "records"), "%s has records, and drills of site %s move that name", name, names[z.Apex][name]).
				WithHint("give those records another name")
		}
	}
}

// switches warns of features that no lever can turn off.
func (b *builder) switches() {
	for _, f := range b.c.Features {
		if feature.Same(f.Value, f.Off) && len(f.Targeting) == 0 {
			b.warn(b.at("features", f.Key, "off"), "feature %s is %s in calm and when it is off: no lever can close it", f.Key, clip(string(f.Value))).
				WithHint("write the value that it has in calm under value:")
		}
	}
}

// defaults warns of features that a lever closes and of which nobody wrote down what the
// code takes while lifeboat can't be asked: then the lever does not reach it.
func (b *builder) defaults() {
	told := map[string]bool{}
	for _, c := range b.c.Levers {
		var l FeatureLever
		if c.Kind != "feature" || json.Unmarshal(c.Config, &l) != nil || told[l.Key] {
			continue
		}
		told[l.Key] = true
		i := slices.IndexFunc(b.c.Features, func(f feature.Flag) bool { return f.Key == l.Key })
		if i >= 0 && len(b.c.Features[i].CodeDefault) == 0 {
			b.warn(b.at("features", l.Key), "lever %s closes feature %s, and it is not written down what the code does with it while lifeboat can't be asked", c.Name, l.Key).
				WithHint("look into the code that asks, and add code_default: with the default there")
		}
	}
}

// cached warns of resolvers that are name servers: those have nothing cached.
func (b *builder) cached() {
	for _, r := range b.c.Resolvers {
		i := slices.IndexFunc(b.c.Nameservers, func(n Nameserver) bool { return n.Address == r.Address })
		if i >= 0 {
			b.warn(b.at("resolvers", r.Name), "resolver %s is name server %s: it does not show what visitors' resolvers have kept", r.Name, b.c.Nameservers[i].Name).
				WithHint("write the address of a resolver that visitors use, for example 9.9.9.9")
		}
	}
}
