// Package config reads lifeboat's one strict YAML file into values.
//
// An unknown key is an error that names file, line and the nearest known key;
// what a later version has is refused as "not in this version", never ignored.
// It knows the shapes of sites, zones, levers, features, actions and channels and
// nothing of how they are served. Values are read-only after Load; live state
// never lives here. It reads no secret: it passes on the names of the files that
// hold them.
//
// It is not the parser of zone text (zone.Parse is, and names lines with the
// Source's File and Line) and knows no driver beyond its section's shape. Control,
// cli and demo may import it; the data plane gets what Parts makes of it.
//
// The YAML it takes is a small one: one document, no anchors, aliases, merge keys
// or tags, at most 1 MiB, 20 levels deep and 5,000 keys in one mapping. A name
// that is read here is lower case; addresses are IP addresses, never names, so
// that nothing of ours waits for somebody else's answer in a crisis. Only webhooks
// are asked by name: nothing waits for them.
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
	"lifeboat/internal/role"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// Config is the whole file, checked and with defaults filled in.
type Config struct {
	File       string // as given, for messages
	ConsoleURL string // where people reach lifeboat's own pages, https://HOST or https://HOST:PORT; "" = not said
	Sites      []Site // in the file's order

	ConsoleCert, ConsoleKey string  // files with the console's own certificate and key, PEM; "" = none
	SignIn                  *SignIn // the company's own sign-in; nil = none

	Zones    []zone.Source
	AtLeast  map[string]int  // apex → records that are enough, be they far fewer than last time
	Levers   []lever.Card    // Config holds ZoneLever, FeatureLever ... as JSON
	Features []feature.Flag  // in the file's order
	Written  feature.Written // the same as they stand in the file: with $ref, and what it stands for
	Access   feature.Access  // who may ask for features
	DNS      snapshot.DNS    // what the name server does besides answering
	Outside  Outside         // the look at our zones as the world sees them

	TransferKeys []TransferKey       // shared with other name servers, in the file's order
	Secondaries  []snapshot.Exchange // of our zones; the peers' keys are TransferKey names
	Primaries    []snapshot.Exchange // of zones that others serve, likewise

	Nameservers []Nameserver // whom to ask what is really answered
	Resolvers   []Nameserver // whose cached answer is evidence; Name is the file's own, for example quad9
	Contacts    []Contact    // whom to call, in the file's order; at most 20
	Actions     []Action     // prepared acts for a fix, in the file's order
	Channels    []Channel    // who is told, in the file's order
	Databases   []Database   // what rows can be taken away from, in the file's order
	Status      *Status      // the status page; nil: each site has a plain one

	Certificates *Certificates // nil: the standby speaks no HTTPS

	warnings []string
}

// Warnings are what is worth a person's look though the file can be used: each
// with its place and the next step, in the file's order.
func (c *Config) Warnings() []string { return slices.Clone(c.warnings) }

// SignIn is the company's own sign-in (OpenID Connect).
type SignIn struct {
	Name       string // as the page shows it; "" = in general words
	Issuer     string
	ClientID   string
	SecretFile string               // holds the client's secret
	Claim      string               // that lists somebody's groups
	Scopes     []string             // beside openid and profile
	Groups     map[string]role.Role // what each group may do
}

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
	Answers    snapshot.Answers // of the standby, beside its page
	Trust      [][]byte         // DER: authorities that checks trust beside the machine's own
	StatusName string
	Contact    string
	Checks     []probe.Check
	Sanity     Sanity
	GoBack     GoBack
	Failover   string // propose, auto or off

	TakeBack time.Duration // how long a lever may be freely taken back (U1): 15m
	Watch    time.Duration // watch window after the return (R17): 60m
	ArmedFor time.Duration // how long a drill keeps a lever armed (R1): 720h
	Settle   time.Duration // after an automatic move nothing automatic moves for this long (U5): 30s
	AutoGap  time.Duration // at most one automatic failover per site in this time (U4): 1h
	Silence  time.Duration // how long control must be silent before answer acts by itself: 10s

	Capture     Capture
	Fixes       Fixes
	UpdateEvery time.Duration // promised time to the next update, pre-filled: 20m
	Stuck       time.Duration // no news for this long: the page offers three things that help: 30m
	LookAgain   time.Duration // how often it is looked whether what is pulled still holds (U7): 15s
	LookBack    time.Duration // how far back before the first symptom changes are shown: 24h
}

// Capture is what is collected as evidence when an incident is declared.
type Capture struct {
	Paths   []string // asked of each origin by address; those of the HTTP checks unless said; at most 20
	Metrics *Metrics // nil: none
	Logs    []string // absolute paths on lifeboat's machine; at most 10
}

// Metrics is where each origin shows its metrics.
type Metrics struct {
	Path string // /metrics
	Port int    // the site's unless said
}

// Fixes are the waits and counts of the rules that slow a fix down.
type Fixes struct {
	Approval time.Duration // how long another person is waited for before one may go on alone (R9): 10m
	Pause    time.Duration // how long one reads it again when going on alone (R9): 60s
	Apart    time.Duration // two fixes closer together than this ask to stop (R11): 20m
	Rest     time.Duration // how long the stop lasts that R11 proposes: 10m
	Passes   int           // passes in a row of the promised check until a fix counts as worked: 3
}

// Origin is a place that runs the site.
type Origin struct {
	Name      string
	Addresses []netip.Addr // with an alias only checks ask them
	Alias     string       // absolute: visitors are led there by a CNAME; "" where they are given the addresses
}

// Sanity says how often the checks must pass in a row before visitors return (R13).
type Sanity struct {
	Passes int           // 5
	Apart  time.Duration // 60s
}

// GoBack is how visitors come back.
type GoBack struct {
	Stages []int         // shares in per cent, rising, before everybody; none: all at once
	Hold   time.Duration // 5m: how long each share is watched
}

// Contact is a person who can be called, shown as text on every page.
type Contact struct {
	Name  string
	Phone string
	Says  string // what they know about; may be empty
}

// Action is a prepared act for a fix: a program or a webhook, one of the two.
type Action struct {
	Name     string
	Title    string
	Says     string   // may be empty
	Site     string   // the site whose fix it may be a part of
	Exec     []string // the program's absolute path and its arguments; no shell reads them
	Webhook  *Webhook
	Deadline time.Duration // for the act and for its undo each: 60s
	Undo     *Act          // nil: it is said that it can't be undone
}

// Act is a program or a webhook, one of the two.
type Act struct {
	Exec    []string // the program's absolute path and its arguments; no shell reads them
	Webhook *Webhook
}

// Webhook is where a POST goes.
type Webhook struct {
	URL        string // absolute, http or https, without user, password or fragment
	SecretFile string // holds what the POST is signed with, relative paths resolved against the file's folder; "" = unsigned
}

// What a channel can be told.
const (
	TellsPublic   = "public"   // updates for visitors
	TellsStaff    = "staff"    // updates for colleagues
	TellsIncident = "incident" // declared, contained, over
)

// Channel is who is told by webhook. One that does not answer holds nothing up.
type Channel struct {
	Name    string
	Webhook Webhook
	Tells   []string // of public, staff and incident; all three unless said
}

// Outside says how our zones are looked at from the root down.
type Outside struct {
	Every time.Duration    // 0: only when asked
	From  []netip.AddrPort // where it begins; empty: the root's servers
	RDAP  string           // https address of a server that knows the registries; "": none is asked
}

// TransferKey is a TSIG key that other name servers share with us.
type TransferKey struct {
	Name       string // that the file gives it
	SecretFile string // holds the key as xfr.ParseKeyFile reads it; relative paths are resolved against the file's folder
}

// Nameserver is a DNS server and where to ask it.
type Nameserver struct {
	Name    string         // ns1.example.net.; of a resolver the name that the file gives it
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
