// Package capture asks from outside what the people of an incident will want to
// know and what is gone an hour later: what each name server and resolver says,
// which certificate each address shows, how each page is answered, and the metrics.
//
// It only looks. It sends what a browser or a resolver sends, changes nothing, needs
// no access to production, and keeps nothing: each Item is handed over as soon as
// there is one. What could not be had is an Item, too, with its Problem. It is not
// package prober, which asks the same again and again and gives verdicts.
//
// Answer runs it when control says so, beside everything else that answer does; so
// it is bounded in time, memory and connections, and no server, however hostile, can
// make it panic. It imports only fault and probe of ours. Control uses Tail.
//
// Concurrency: all types are values; Run and Tail may be called from any goroutine.
package capture

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
)

// The limits that Validate holds a Job to.
const (
	MaxNames     = 20
	MaxPlaces    = 50
	MaxAddresses = 200 // of all places together
	MaxPaths     = 20
	MaxServers   = 32 // name servers and resolvers together
	maxID        = 64 // bytes
	maxTitle     = 253
)

// MaxBody is how long an Item's Body is at the most, in bytes.
const MaxBody = 1 << 20

// Job is what to ask when an incident is declared on a site. What a list does not
// name is not asked: a Job without resolvers asks none.
type Job struct {
	ID          string   `json:"id"`
	Incident    string   `json:"incident"`
	Site        string   `json:"site"`
	Names       []string `json:"names"`  // host names; pages are asked for with the first one
	Scheme      string   `json:"scheme"` // http or https
	Port        int      `json:"port"`   // of the places
	Places      []Place  `json:"places,omitempty"`
	Paths       []string `json:"paths,omitempty"`
	Nameservers []Server `json:"nameservers,omitempty"` // of the site's zone; asked without recursion
	Resolvers   []Server `json:"resolvers,omitempty"`   // asked as visitors' machines ask them
	Metrics     *Metrics `json:"metrics,omitempty"`
}

// Place is where a site can be.
type Place struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
}

// Server is a DNS server.
type Server struct {
	Name    string         `json:"name,omitempty"`
	Address netip.AddrPort `json:"address"`
}

// Metrics says where each place's machine shows its metrics (Prometheus text).
type Metrics struct {
	Path string `json:"path"`
	Port int    `json:"port,omitempty"` // the site's own port and scheme when 0; another one is asked over http
}

// The kinds of items.
const (
	KindDNS     = "dns"
	KindTLS     = "tls"
	KindHTTP    = "http"
	KindMetrics = "metrics"
	KindLog     = "log"
)

// Item is one thing that was captured. Its texts hold no cookies and no credentials;
// a page's body is kept as it came.
type Item struct {
	Job         string        `json:"job"`
	Incident    string        `json:"incident"`
	Site        string        `json:"site"`
	Kind        string        `json:"kind"`
	Source      string        `json:"source"`                 // whom it was asked of: "main 203.0.113.10:443"
	Title       string        `json:"title"`                  // one sentence of what this is
	Summary     string        `json:"summary"`                // one sentence of what it says
	Deciding    string        `json:"deciding,omitempty"`     // one sentence, where this alone says what is wrong
	At          time.Time     `json:"at"`                     // when the asking began
	Took        time.Duration `json:"took"`                   // nanoseconds
	ClockOffset time.Duration `json:"clock_offset,omitempty"` // how far the other clock is ahead of ours, to the second; 0 also when it is not known
	Type        string        `json:"type"`                   // media type of Body, as its sender calls it
	Body        []byte        `json:"body"`                   // at most MaxBody
	Truncated   bool          `json:"truncated,omitempty"`    // there was more than Body
	SHA256      string        `json:"sha256"`                 // of Body, in hex
	Problem     string        `json:"problem,omitempty"`      // why nothing could be had
}

// Done ends a Job, whatever came of it.
type Done struct {
	Job      string `json:"job"`
	Incident string `json:"incident,omitempty"`
	Site     string `json:"site,omitempty"`
	Items    int    `json:"items"`             // that were captured
	Lost     int    `json:"lost,omitempty"`    // of them, on the way to who asked
	Problem  string `json:"problem,omitempty"` // why the job was not done, or not to its end
}

// Validate says what is wrong with a job: a *fault.Error of kind Invalid whose Place
// is the JSON name of the first field at fault, or nil.
func (j Job) Validate() error {
	for _, f := range []struct{ field, value string }{{"id", j.ID}, {"incident", j.Incident}, {"site", j.Site}} {
		if !plainText(f.value, maxID) {
			return invalid(f.field, "%q can't be the %s of a capture", f.value, f.field).WithHint("use 1 to %d printable characters", maxID)
		}
	}
	addresses := 0
	for _, p := range j.Places {
		addresses += len(p.Addresses)
	}
	for _, f := range []struct {
		field    string
		n, limit int
	}{
		{"names", len(j.Names), MaxNames}, {"places", len(j.Places), MaxPlaces}, {"places.addresses", addresses, MaxAddresses},
		{"paths", len(j.Paths), MaxPaths}, {"nameservers", len(j.Nameservers) + len(j.Resolvers), MaxServers},
	} {
		if f.n > f.limit {
			return invalid(f.field, "%d are too many for one capture", f.n).WithHint("name at most %d", f.limit)
		}
	}
	if len(j.Names) == 0 {
		return invalid("names", "a capture needs a name to ask for").WithHint("name the site's host names")
	}
	for _, validate := range []func() error{j.validateNames, j.validatePlaces, j.validatePaths, j.validateServers} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

func (j Job) validateNames() error {
	for _, n := range j.Names {
		t := probe.Target{Address: "192.0.2.1", Port: 80, Scheme: "http", Host: n}
		if t.Validate() != nil {
			return invalid("names", "%q is not a host name", n).WithHint("write it without a port")
		}
	}
	return nil
}

func (j Job) validatePlaces() error {
	for _, p := range j.Places {
		if !plainText(p.Name, maxTitle) {
			return invalid("places", "%q can't be a place's name", p.Name).WithHint("use 1 to %d printable characters", maxTitle)
		}
		for _, a := range p.Addresses {
			t := probe.Target{Address: a.String(), Port: j.Port, Scheme: j.Scheme, Host: j.Names[0]}
			if err := t.Validate(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j Job) validatePaths() error {
	paths := j.Paths
	if m := j.Metrics; m != nil {
		if m.Port < 0 || m.Port > 65535 {
			return invalid("metrics.port", "%d is not a port", m.Port).WithHint("use 1 to 65535, or leave it out for the site's own")
		}
		paths = append([]string{m.Path}, paths...)
	}
	for _, p := range paths {
		c := probe.Check{Name: "capture", Path: p}.WithDefaults()
		c.Path = p // an empty one is wrong here
		if err := c.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (j Job) validateServers() error {
	for _, list := range []struct {
		field   string
		servers []Server
	}{{"nameservers", j.Nameservers}, {"resolvers", j.Resolvers}} {
		for _, s := range list.servers {
			switch {
			case !s.Address.IsValid() || s.Address.Port() == 0:
				return invalid(list.field, "%q is not an address with a port", s.Address).WithHint("write it as 192.0.2.53:53")
			case probe.NeverAsked(s.Address.Addr()):
				return invalid(list.field, "%s is the address of cloud credentials, which is never asked", s.Address.Addr()).WithHint("name the server's own address")
			case s.Name != "" && !plainText(s.Name, maxTitle):
				return invalid(list.field, "%q can't be a server's name", s.Name).WithHint("use up to %d printable characters", maxTitle)
			}
		}
	}
	return nil
}

// Validate says why an item can't be what capture made: it is too long, or its body
// is not what its hash says.
func (i Item) Validate() error {
	switch {
	case i.Job == "" || i.Kind == "":
		return invalid("kind", "an item without a job or a kind")
	case len(i.Body) > MaxBody:
		return invalid("body", "an item's body is %d bytes long", len(i.Body)).WithHint("at most %d are kept", MaxBody)
	case i.SHA256 != hash(i.Body):
		return invalid("sha256", "an item's body is not what its hash says")
	}
	for _, s := range []string{i.Kind, i.Source, i.Title, i.Summary, i.Deciding, i.Type, i.Problem} {
		if len(s) > maxLine {
			return invalid("summary", "an item's text is %d bytes long", len(s)).WithHint("at most %d are kept", maxLine)
		}
	}
	return nil
}

// sealed is an item as it leaves this package: cut to its limits, its texts made
// lines, and hashed.
func (i Item) sealed() Item {
	if len(i.Body) > MaxBody {
		i.Body, i.Truncated = i.Body[:MaxBody], true
	}
	if i.Type == "" {
		i.Type = textType
	}
	for _, s := range []*string{&i.Source, &i.Title, &i.Summary, &i.Deciding, &i.Type, &i.Problem} {
		*s = line(*s)
	}
	i.Took = max(0, i.Took) // a clock that is set back must not make a time below nothing
	i.SHA256 = hash(i.Body)
	return i
}

const textType = "text/plain; charset=utf-8"

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// plainText says whether s is 1 to most bytes of one printable line.
func plainText(s string, most int) bool {
	return s != "" && len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func invalid(field, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(field)
}
