// Package snapshot is what control hands to answer: content-addressed parts, and
// a small signed manifest that names them and carries what is ordered.
//
// It is pure but for Folder, which keeps the last two good snapshots on disk. It
// decides whether a manifest may be taken (signature, format, epoch, revision,
// direction) and never what should be ordered. Control makes manifests, answer
// takes them; both import this package and it imports only pure ones.
//
// Concurrency: all types but Folder are values that nobody changes after they
// are made; a Folder belongs to one goroutine at a time, but for Stage.
package snapshot

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/probe"
	"lifeboat/internal/zone"
)

// Format is the manifest format that this version writes and reads. A reader
// takes unknown fields as harmless unless Must names something it doesn't know.
const Format = 1

// Standby is the position at which visitors are given the standby page.
const Standby = "standby"

// The names of the parts.
const (
	PartSites     = "sites"     // []Site
	PartZones     = "zones"     // []zone.Source
	PartFeatures  = "features"  // []feature.Flag
	PartAccess    = "access"    // feature.Access; not there where everybody may ask for features
	PartTransfers = "transfers" // Transfers; not there where no zone is exchanged
	PartDNS       = "dns"       // DNS; not there where the name server does as usual

	// Of HTTPS; not there where no name has a certificate.
	PartCertificates = "certificates" // Certificates

	// Of signed zones; not there where there is none. The serials' part is small, for it
	// is made anew as they are used up.
	PartSignatures = "signatures" // map[string]dnssec.Book, by apex
	PartSerials    = "serials"    // []zoneKeys

	// Of the status page; what is said changes with every message, what was measured
	// every few minutes.
	PartStatus  = "status"  // board.Sheet; not there where an older control knows of none
	PartHistory = "history" // board.History
)

// Ref names a part by what is in it.
type Ref struct {
	SHA256 string `json:"sha256"` // hex
	Size   int    `json:"size"`   // bytes
}

// Manifest is the whole of what is ordered, in a few KB. It is signed over its
// exact bytes.
type Manifest struct {
	Format   int                      `json:"format"`
	Must     []string                 `json:"must,omitempty"` // what a reader must understand, else it keeps its last one
	Epoch    uint64                   `json:"epoch"`          // a store's life
	Revision uint64                   `json:"revision"`       // grows by each publishing within an epoch
	At       time.Time                `json:"at"`
	Parts    map[string]Ref           `json:"parts"`
	Sites    map[string]SiteOrder     `json:"sites"`
	Features map[string]feature.Order `json:"features,omitempty"` // only what is ordered
	Serials  map[string]uint32        `json:"serials"`            // SOA serial by apex
	Taken    []string                 `json:"taken,omitempty"`    // local orders that control has taken over

	// Challenges are the proofs for certificate authorities, by owner name: absolute,
	// lower case, with a TXT record for good in its zone (zone.ChallengeAt).
	Challenges map[string]Challenge `json:"challenges,omitempty"`
}

// Challenge is what a name's TXT records hold besides the ones of its zone, up to a
// time: all of it or, from then on, nothing, so that a name has two answers.
type Challenge struct {
	Values []string  `json:"values"` // zone.MaxProofs at most; sorted
	Until  time.Time `json:"until"`
}

// SiteOrder is where a site's names are ordered to point, and why.
type SiteOrder struct {
	Position   string    `json:"position"` // an origin's name or Standby
	Since      time.Time `json:"since"`
	Generation uint64    `json:"generation"` // grows at each move: the fencing token
	Incident   string    `json:"incident,omitempty"`
	Title      string    `json:"title,omitempty"`   // the incident's, for the page
	Message    string    `json:"message,omitempty"` // the newest public update
	Auto       *Auto     `json:"auto,omitempty"`    // nil: answer does not move this site by itself
	TTLCap     uint32    `json:"ttl_cap,omitempty"` // seconds; 0: none
	Share      *Share    `json:"share,omitempty"`   // nil: Position is for everybody
}

// Share sends some of those who ask elsewhere: about Percent of resolvers' networks are
// told Position, the others that of the SiteOrder. It is an approximation: how many
// visitors stand behind a resolver is not known. Configuration can't set it.
type Share struct {
	Position string    `json:"position"`
	Percent  int       `json:"percent"` // 1 to 99
	Since    time.Time `json:"since"`
}

// Auto is what answer may do by itself after control has been silent: pull this
// lever, at most once, while it is armed.
type Auto struct {
	Lever      string        `json:"lever"`
	Position   string        `json:"position"`
	ArmedUntil time.Time     `json:"armed_until"`
	NotBefore  time.Time     `json:"not_before"` // rule U4: once per site and hour
	Silence    time.Duration `json:"silence"`    // how long control must have been silent
	Gap        time.Duration `json:"gap"`        // rule U4, for answer's own moves
}

// Site is what answer needs to know of a site to serve every position of it
// without asking anybody.
type Site struct {
	ID         string         `json:"id"`
	Title      string         `json:"title"`
	Names      []string       `json:"names"`                 // production host names, lower case, no final dot
	StatusName string         `json:"status_name,omitempty"` // the status page's own host name
	Scheme     string         `json:"scheme"`                // http or https, of origins and standby
	Port       int            `json:"port"`
	Home       string         `json:"home"`   // the origin that is home
	Places     []string       `json:"places"` // position names in order: home first, standby last
	Positions  zone.Positions `json:"positions"`

	// Asked are the addresses that checks ask of a place that is an alias: what it
	// leads to is somebody else's to move, and a check waits for no resolver.
	Asked map[string][]netip.Addr `json:"asked,omitempty"`

	Checks   []probe.Check `json:"checks"`
	Standing probe.Check   `json:"standing"`          // asked of the standby: is our page there (R2)
	Failover string        `json:"failover"`          // propose, auto or off
	Shadow   string        `json:"shadow,omitempty"`  // of a drill's stand-in: the site it stands for
	Contact  string        `json:"contact,omitempty"` // shown on the page, one line
	Levers   []Lever       `json:"levers,omitempty"`

	Answers Answers  `json:"answers,omitzero"` // of the standby, beside its page
	Trust   [][]byte `json:"trust,omitempty"`  // DER: authorities that checks of this site trust beside the machine's own
}

// Answers are what the standby answers at a site's names beside its page. The zero
// value is the usual.
type Answers struct {
	API       []string          `json:"api,omitempty"`        // paths of programs, each with all below it: JSON in place of the page; nil: /api
	Health    []string          `json:"health,omitempty"`     // paths that monitors ask, each with all below it: a short 503, not counted as a visitor
	Robots    string            `json:"robots,omitempty"`     // robots.txt; "" allows everything
	WellKnown map[string]string `json:"well_known,omitempty"` // files below /.well-known/, by name
}

// IsZero says whether the standby answers as usual.
func (a Answers) IsZero() bool {
	return a.API == nil && len(a.Health) == 0 && a.Robots == "" && len(a.WellKnown) == 0
}

// Lever is what answer needs to pull a lever as a local order.
type Lever struct {
	Name     string          `json:"name"`
	Title    string          `json:"title"`
	Kind     string          `json:"kind"`
	Site     string          `json:"site"`
	Position string          `json:"position,omitempty"` // kind zone
	Feature  string          `json:"feature,omitempty"`  // kind feature
	Value    json.RawMessage `json:"value,omitempty"`
}

// DNS is what the name server does besides answering. The zero value is the usual.
type DNS struct {
	NSID          string         `json:"nsid,omitempty"`           // what the server is called (RFC 5001); "": nothing is told
	RequireCookie bool           `json:"require_cookie,omitempty"` // clients that speak cookies must bring one of ours (RFC 7873)
	Rate          int            `json:"rate,omitempty"`           // answers over UDP a second to one network and kind; 0: 200, negative: no limit
	Slip          int            `json:"slip,omitempty"`           // of the answers over it each so many'th is cut, the others are held back; 0: 2, negative: none is cut
	QueryLog      int            `json:"query_log,omitempty"`      // lines a second at most that tell of what was asked; 0: none
	Exempt        []netip.Prefix `json:"exempt,omitzero"`          // networks without a limit; nil: this machine, empty: none
}

// IsZero says whether the name server does as usual.
func (d DNS) IsZero() bool {
	return d.NSID == "" && !d.RequireCookie && d.Rate == 0 && d.Slip == 0 && d.QueryLog == 0 && d.Exempt == nil
}

// Order is a local order: something a person or a rule did at answer while
// control could not be asked.
type Order struct {
	ID       string          `json:"id"` // ULID
	Lever    string          `json:"lever"`
	Site     string          `json:"site"`
	Position string          `json:"position,omitempty"`
	Feature  string          `json:"feature,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"`
	At       time.Time       `json:"at"`
	By       string          `json:"by"`     // "uid 0", "rule auto"
	Reason   string          `json:"reason"` // one sentence
}

// Rank says how far from danger a position is: standby over another origin over
// home (rule U1). Upwards is towards safety.
func (s Site) Rank(position string) int {
	switch position {
	case Standby:
		return 2
	case s.Home:
		return 0
	default:
		return 1
	}
}

// ShadowID is the id of the stand-in that a drill moves in place of the site.
func ShadowID(site string) string { return site + "~drill" }

// Targets are the addresses of a place, as checks ask them: by address with the
// site's first name.
func (s Site) Targets(place string) []probe.Target {
	if len(s.Names) == 0 {
		return nil
	}
	var out []probe.Target
	for _, ip := range append(slices.Clone(s.Positions[place].IPs), s.Asked[place]...) {
		out = append(out, probe.Target{Site: s.ID, Place: place, Address: ip.String(), Port: s.Port, Scheme: s.Scheme, Host: s.Names[0]})
	}
	return out
}
