package standby

import (
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

// View is the finished answer of every host name.
type View struct {
	hosts map[string]*host
	sites map[string]kind // of their production names
}

// kind says what a name is to its site.
type kind int

const (
	inFailover kind = iota // a production name, ordered to the standby
	elsewhere              // a production name, ordered to an origin
	statusHost             // the status page's own name
)

// host is what is answered at one or several names.
type host struct {
	site   string
	kind   kind
	scheme string // of visitors
	port   int

	page    *stored // of a production name
	problem *stored
	events  *stored // to who listens for events

	api, health []string           // paths, each with all below it
	documents   map[string]*stored // by path: of a production name, what never fails

	status *Statused // of kind statusHost
}

// Input is all that a View is made of.
type Input struct {
	Sites  []snapshot.Site
	Orders map[string]snapshot.SiteOrder // by site; without one a site is at home
	Seen   map[string][]statuspage.Seen  // by site
	Now    time.Time
	Before *View // what has not changed since is taken from here; nil: nothing
}

// Compile renders the answers of all sites. Shadow sites are left out. It fails with
// kind Invalid when two sites claim a name or a name can't be one; the caller then
// keeps the View it has. It costs about two milliseconds a site.
func Compile(in Input) (*View, error) {
	v := &View{hosts: map[string]*host{}, sites: map[string]kind{}}
	for _, site := range in.Sites {
		if site.Shadow != "" {
			continue
		}
		if err := v.add(in, site); err != nil {
			return nil, fmt.Errorf("compile standby of site %s: %w", site.ID, err)
		}
	}
	return v, nil
}

// page gathers what is known; its mode is for a production name.
func page(site snapshot.Site, order snapshot.SiteOrder, seen []statuspage.Seen, now time.Time) statuspage.Page {
	p := statuspage.Page{
		Mode:          statuspage.Returned,
		Site:          site.ID,
		Title:         site.Title,
		Names:         site.Names,
		Ordered:       order.Position,
		Home:          site.Home,
		Since:         order.Since,
		IncidentID:    order.Incident,
		IncidentTitle: order.Title,
		Message:       order.Message,
		Seen:          seen,
		Now:           now,
		Contact:       site.Contact,
	}
	if p.Ordered == "" {
		p.Ordered = site.Home
	}
	if p.Ordered == snapshot.Standby {
		p.Mode = statuspage.Crisis
	}
	return p
}

func (v *View) add(in Input, site snapshot.Site) error {
	p := page(site, in.Orders[site.ID], in.Seen[site.ID], in.Now)
	production := &host{site: site.ID, kind: elsewhere, scheme: site.Scheme, port: site.Port}
	if p.Mode == statuspage.Crisis {
		production.kind = inFailover
	}
	v.sites[site.ID] = production.kind
	if err := production.render(site, p, in.before(site.Names)); err != nil {
		return err
	}
	for _, name := range site.Names {
		if err := v.claim(name, production); err != nil {
			return err
		}
	}
	return nil
}

// before is what the first of some names was answered; never nil.
func (in Input) before(names []string) *host {
	if in.Before != nil && len(names) > 0 {
		if key, ok := hostName(names[0]); ok && in.Before.hosts[key] != nil {
			return in.Before.hosts[key]
		}
	}
	return &host{}
}

func (v *View) claim(name string, h *host) error {
	key, ok := hostName(name)
	if !ok {
		return fault.New(fault.Invalid, "%q is not a host name", name).At("sites." + h.site)
	}
	if other := v.hosts[key]; other != nil && other != h {
		return fault.New(fault.Invalid, "the name %s belongs to site %s already", key, other.site).
			At("sites." + h.site).WithHint("a name can lead to one site only, and a status page needs a name of its own")
	}
	v.hosts[key] = h
	return nil
}

// render makes what a production name answers.
func (h *host) render(site snapshot.Site, p statuspage.Page, before *host) error {
	r, err := statuspage.Render(p)
	if err != nil {
		return err
	}
	h.page = store(Document{Type: "text/html; charset=utf-8", Bytes: r.HTML}, before.page)
	h.problem = store(Document{Type: "application/problem+json", Bytes: r.Problem}, before.problem)
	h.events = store(Document{Type: "text/event-stream", Bytes: []byte("retry: " + retryAfter + "000\n\n")}, before.events)
	h.api, h.health = rules(site.Answers.API, defaultAPI), rules(site.Answers.Health, nil)
	never := wellKnown(site)
	never[statuspage.Beacon] = Document{Type: "application/json", Bytes: statuspage.Comeback(p)}
	h.keep(never, before)
	return nil
}

// keep stores documents by their paths.
func (h *host) keep(all map[string]Document, before *host) {
	h.documents = make(map[string]*stored, len(all))
	for path, d := range all {
		h.documents[path] = store(d, before.documents[path])
	}
}

// defaultAPI are the paths of programs where a site names none.
var defaultAPI = []string{"/api"}

// rules are paths without their final slash.
func rules(given, otherwise []string) []string {
	if given == nil {
		return otherwise
	}
	out := make([]string, len(given))
	for i, path := range given {
		out[i] = strings.TrimSuffix(path, "/")
	}
	return out
}

// under says whether a path is one of the rules' or below it.
func under(rules []string, path string) bool {
	for _, rule := range rules {
		if rest, is := strings.CutPrefix(path, rule); is && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

const wellKnownPath = "/.well-known/"

// wellKnown are a site's documents that are answered in a crisis as at any time.
func wellKnown(site snapshot.Site) map[string]Document {
	out := map[string]Document{"/robots.txt": {Type: "text/plain; charset=utf-8", Bytes: []byte(robots)}}
	if site.Answers.Robots != "" {
		out["/robots.txt"] = Document{Type: "text/plain; charset=utf-8", Bytes: []byte(site.Answers.Robots)}
	}
	for name, text := range site.Answers.WellKnown {
		out[wellKnownPath+name] = Document{Type: typeOf(name), Bytes: []byte(text)}
	}
	return out
}

// typeOf is the content type of a well-known file by its name.
func typeOf(name string) string {
	switch {
	case name == "apple-app-site-association", strings.HasSuffix(name, ".json"), name == "openid-configuration", name == "oauth-authorization-server":
		return "application/json"
	case strings.HasSuffix(name, ".xml"):
		return "application/xml"
	default:
		return "text/plain; charset=utf-8"
	}
}
