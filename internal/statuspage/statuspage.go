// Package statuspage writes what visitors are told: one HTML page that needs no
// script (its only one asks whether it may come back), a problem document (RFC 9457) for API clients, and a small JSON for the
// status page's own name.
//
// It is pure: no clock, no I/O; the same Page always gives the same bytes. It
// decides words, never who gets them (package standby) and never what is ordered
// or seen. Any package may import it.
//
// Invariants: what is ordered and what is seen are told apart; a sentence is only
// there when the fact behind it is; knowledge is given with its age, and turns to
// "we do not know" when it is too old. The page says nothing of whose program
// made it. All times are UTC.
//
// Concurrency: Render may be called from any goroutine.
package statuspage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"sync"
	"time"

	"lifeboat/internal/probe"
)

// Refresh is how often an open page asks again by itself, and what Retry-After
// and retry_after say.
const Refresh = 30 * time.Second

// StaleAfter is how old a result may be before it counts as "we do not know". A
// check that is asked seldom gets three of its own periods.
const StaleAfter = 60 * time.Second

// Mode says who is being spoken to.
type Mode string

// The modes.
const (
	Crisis   Mode = "crisis"   // a visitor of the site, which is ordered to the standby
	Returned Mode = "returned" // a visitor of the site who came here though it is ordered elsewhere: a late-comer
	Status   Mode = "status"   // a visitor of the status page's own name; also on quiet days
)

// Page is all that is known when a page is written. Empty fields leave their
// sentences out.
type Page struct {
	Mode  Mode
	Site  string   // id
	Title string   // "Example Shop"; the first of Names, then Site, when empty
	Names []string // production host names

	Ordered string    // position: "standby" or an origin's name
	Home    string    // the origin that is home
	Since   time.Time // when it was ordered there

	IncidentID    string
	IncidentTitle string
	Message       string // the newest public update, plain text; an empty line parts paragraphs

	Seen    []Seen
	Now     time.Time
	Contact string // one line; an e-mail address or web address becomes a link
}

// Seen is what one check came to at one place.
type Seen struct {
	Place  string
	Check  string
	Seen   probe.Seen
	LastAt time.Time     // when the newest result was got; zero: none yet
	Every  time.Duration // how often it is asked; 0: unknown
}

// Rendered holds finished bytes. Problem is for the modes Crisis and Returned,
// JSON for Status.
type Rendered struct {
	HTML    []byte
	Problem []byte // application/problem+json
	JSON    []byte // application/json
}

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// Render writes the page. It fails on a mode that isn't one and on a Page without
// Now or any name for the site.
func Render(p Page) (Rendered, error) {
	p, err := p.tidy()
	if err != nil {
		return Rendered{}, fmt.Errorf("render status page: %w", err)
	}
	k := p.judge()
	s := tell(p, k)
	var r Rendered
	if r.HTML, err = writeHTML(s); err != nil {
		return Rendered{}, fmt.Errorf("render status page of %s: %w", p.Site, err)
	}
	if p.Mode == Status {
		r.JSON, err = statusJSON(p, k, s)
	} else {
		r.Problem, err = problemJSON(p, k, s)
	}
	if err != nil {
		return Rendered{}, fmt.Errorf("render documents of %s: %w", p.Site, err)
	}
	return r, nil
}

// tidy refuses what can't be rendered and puts the rest in shape.
func (p Page) tidy() (Page, error) {
	switch p.Mode {
	case Crisis, Returned, Status:
	default:
		return p, fmt.Errorf("no such mode %q", p.Mode)
	}
	if p.Now.IsZero() {
		return p, fmt.Errorf("the time is missing")
	}
	first := ""
	if len(p.Names) > 0 {
		first = p.Names[0]
	}
	p.Title = cmp.Or(line(p.Title), first, p.Site)
	if p.Title == "" {
		return p, fmt.Errorf("the site has no title, name or id")
	}
	p.Now = p.Now.UTC()
	p.IncidentTitle = line(p.IncidentTitle)
	p.Contact = line(p.Contact)
	return p, nil
}

func writeHTML(s story) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(8 << 10)
	if err := page.Execute(&b, s); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Policy is the Content-Security-Policy (CSP level 3) that the page needs and no
// more: its own style and script, by hash, an empty icon, and questions to where it
// came from.
var Policy = sync.OnceValue(func() string {
	// Style and script are the same in every rendering.
	html, err := writeHTML(story{Refresh: 1})
	if err != nil {
		html = nil
	}
	return "default-src 'none'; style-src " + hashOf(html, "style") + "; script-src " + hashOf(html, "script") +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

// hashOf names what is inside the first element of a kind, as a policy does.
func hashOf(html []byte, element string) string {
	_, rest, begun := bytes.Cut(html, []byte("<"+element+">"))
	inside, _, ended := bytes.Cut(rest, []byte("</"+element+">"))
	if !begun || !ended {
		return "'none'"
	}
	sum := sha256.Sum256(inside)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
