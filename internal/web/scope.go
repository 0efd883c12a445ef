package web

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// scope is what a form, and what is made of it, may know.
type scope struct {
	s    *server
	who  account.Session
	o    engine.Overview
	v    engine.SiteView // none: ID is empty
	in   *incident.Incident
	past bool // the form is about the incident by its id, open or not
	bare bool // only the frame of a page is wanted, without its board
	args url.Values
}

func (x scope) arg(name string) string { return x.args.Get(name) }
func (x scope) by() incident.Actor     { return actor(x.who) }
func (x scope) now() time.Time         { return x.o.Now }

// open says whether an incident is open.
func (x scope) open() bool { return x.in != nil && x.in.Phase.Open() }

// base is where the forms of this scope are sent to.
func (x scope) base() string {
	switch {
	case x.past && x.in != nil:
		return "/incidents/" + url.PathEscape(x.in.ID) + "/"
	case x.v.ID != "":
		return "/sites/" + url.PathEscape(x.v.ID) + "/"
	}
	return "/lifeboat/"
}

// ask makes the form of an act. The pairs are hidden fields: name, value, name, value.
func (x scope) ask(name string, pairs ...string) ask {
	a := acts[name]
	args := url.Values{}
	for k, v := range x.args {
		args[k] = v
	}
	var fixed []field
	for i := 0; i+1 < len(pairs); i += 2 {
		args.Set(pairs[i], pairs[i+1])
		fixed = append(fixed, field{Name: pairs[i], Kind: hidden, Value: pairs[i+1]})
	}
	y := x
	y.args = args
	f := ask{Action: x.base() + name, Title: a.words(y), More: a.more, Key: newKey(), Off: a.offFor(y), Denied: a.forbidden(y) != "", Fields: fixed, Submits: a.submits, Submit: a.submit}
	if a.fields != nil {
		f.Fields = a.fields(y)
		for _, h := range fixed {
			if !slices.ContainsFunc(f.Fields, func(g field) bool { return g.Name == h.Name }) {
				f.Fields = append(f.Fields, h)
			}
		}
	}
	if a.terms != nil {
		f.Terms = a.terms(y)
	}
	f.Page = f.Action
	if q := addressed(pairs); len(q) > 0 {
		f.Page += "?" + q.Encode()
	}
	if x.in != nil && x.in.ID != "" && !x.past && x.open() {
		f.Incident, f.Phase = x.in.ID, string(x.in.Phase)
	}
	f.ID = strings.Join(append([]string{name}, values(pairs)...), "-") + "-"
	f.numbered()
	return f
}

func values(pairs []string) []string {
	var out []string
	for i := 1; i < len(pairs); i += 2 {
		out = append(out, strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
				return r
			}
			return '_'
		}, cut(pairs[i], 40)))
	}
	return out
}

// addressed are the pairs that lead to a form's own page.
func addressed(pairs []string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// scope gathers what a request is about: a site, an incident by its id, or neither.
func (s *server) scope(ctx context.Context, who account.Session, site, id string, args url.Values) (scope, error) {
	x := scope{s: s, who: who, args: args}
	var err error
	if x.o, err = s.o.Engine.Overview(ctx); err != nil {
		return x, err
	}
	switch {
	case id != "":
		in, err := s.o.Engine.Incident(ctx, id)
		if err != nil {
			return x, err
		}
		x.in, x.past = &in, true
		x.v, _ = siteOf(x.o, in.Site)
	case site != "":
		v, known := siteOf(x.o, site)
		if !known {
			return x, fault.New(fault.NotFound, "there is no site %q", cut(site, 60)).WithHint("go to the first page")
		}
		x.v, x.in = v, v.Incident
	}
	return x, nil
}

func siteOf(o engine.Overview, id string) (engine.SiteView, bool) {
	for _, v := range o.Sites {
		if v.ID == id {
			return v, true
		}
	}
	return engine.SiteView{}, false
}
