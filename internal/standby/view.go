package standby

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strconv"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

// View is the finished answer of every host name.
type View struct {
	hosts map[string]*host
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
	site string
	kind kind
	html body
	json body // problem document

	status *Statused // of kind statusHost
}

// body is stored both plain and compressed.
type body struct {
	contentType string
	plain       bytesOf
	gzip        bytesOf
}

type bytesOf struct {
	bytes  []byte
	length string
}

// Compile renders the answers of all sites as they are ordered and seen (by site
// id). A site without an order is at home. Shadow sites are left out. It fails
// with kind Invalid when two sites claim a name or a name can't be one; the caller
// then keeps the View it has. It costs about a millisecond a site.
func Compile(sites []snapshot.Site, orders map[string]snapshot.SiteOrder, seen map[string][]statuspage.Seen, now time.Time) (*View, error) {
	v := &View{hosts: map[string]*host{}}
	for _, site := range sites {
		if site.Shadow != "" {
			continue
		}
		if err := v.add(site, page(site, orders[site.ID], seen[site.ID], now)); err != nil {
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

func (v *View) add(site snapshot.Site, p statuspage.Page) error {
	production := &host{site: site.ID, kind: elsewhere}
	if p.Mode == statuspage.Crisis {
		production.kind = inFailover
	}
	if err := production.render(p); err != nil {
		return err
	}
	for _, name := range site.Names {
		if err := v.claim(name, production); err != nil {
			return err
		}
	}
	return nil
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

func (h *host) render(p statuspage.Page) error {
	r, err := statuspage.Render(p)
	if err != nil {
		return err
	}
	h.html = newBody("text/html; charset=utf-8", r.HTML)
	h.json = newBody("application/problem+json", r.Problem)
	return nil
}

func newBody(contentType string, plain []byte) body {
	return body{contentType: contentType, plain: measured(plain), gzip: measured(compress(plain))}
}

func measured(b []byte) bytesOf { return bytesOf{b, strconv.Itoa(len(b))} }

// compressors are kept, since each holds most of a megabyte.
var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	w := compressors.Get().(*gzip.Writer)
	defer compressors.Put(w)
	w.Reset(&b)
	// Writing to a buffer doesn't fail.
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}
