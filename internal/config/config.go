// Package config reads lifeboat's one strict YAML file into values.
//
// An unknown key is an error that names file, line and the nearest known key;
// what a later version has is refused as "not in this version", never ignored.
// It knows the shapes of sites, zones, levers and features and nothing of how
// they are served. Values are read-only after Load; live state never lives here.
//
// It is not the parser of zone text (zone.Parse is, and names lines with the
// Source's File and Line) and knows no driver beyond its section's shape. Control,
// cli and demo may import it; the data plane gets what Parts makes of it.
//
// The YAML it takes is a small one: one document, no anchors, aliases, merge keys
// or tags, at most 1 MiB, 20 levels deep and 5,000 keys in one mapping. A name
// that is read here is lower case; addresses are IP addresses, never names, so
// that nothing of ours waits for somebody else's answer in a crisis.
//
// Concurrency: a *Config is immutable.
package config

import (
	"net/netip"
	"slices"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/zone"
)

// Config is the whole file, checked and with defaults filled in.
type Config struct {
	File        string // as given, for messages
	Sites       []Site // in the file's order
	Zones       []zone.Source
	Levers      []lever.Card   // Config holds ZoneLever or FeatureLever as JSON
	Features    []feature.Flag // in the file's order
	Nameservers []Nameserver   // whom to ask what is really answered

	warnings []string
}

// Warnings are what is worth a person's look though the file can be used: each
// with its place and the next step, in the file's order.
func (c *Config) Warnings() []string { return slices.Clone(c.warnings) }

// Site is one site with its waits and counts (rule U12: these are the only ones).
type Site struct {
	ID         string
	Title      string
	Names      []string // lower case, no final dot
	Scheme     string   // https unless said
	Port       int      // 443 or 80 unless said
	Origins    []Origin // the first is home unless `home` names another
	Home       string
	Standby    []netip.Addr
	StatusName string
	Contact    string
	Checks     []probe.Check
	Sanity     Sanity
	Failover   string // propose, auto or off

	TakeBack time.Duration // how long a lever may be freely taken back (U1): 15m
	Watch    time.Duration // watch window after the return (R17): 60m
	ArmedFor time.Duration // how long a drill keeps a lever armed (R1): 720h
	Settle   time.Duration // after an automatic move nothing automatic moves for this long (U5): 30s
	AutoGap  time.Duration // at most one automatic failover per site in this time (U4): 1h
	Silence  time.Duration // how long control must be silent before answer acts by itself: 10s
}

// Origin is a place that runs the site.
type Origin struct {
	Name      string
	Addresses []netip.Addr
}

// Sanity says how often the checks must pass in a row before visitors return (R13).
type Sanity struct {
	Passes int           // 5
	Apart  time.Duration // 60s
}

// Nameserver is an authoritative server of our zones, and where to ask it.
type Nameserver struct {
	Name    string         // ns1.example.net.
	Address netip.AddrPort // port 53 unless said
}

// ZoneLever is the driver section of a zone lever.
type ZoneLever struct {
	Site string `json:"site"`
	To   string `json:"to"` // standby or an origin's name
}

// FeatureLever is the driver section of a feature lever.
type FeatureLever struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}
