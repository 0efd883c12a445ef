package capture

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// httpTasks ask each address for each path, with the site's first name.
func (r *run) httpTasks() []task {
	var out []task
	for _, path := range r.job.Paths {
		r.each(func(place string, at netip.Addr) {
			q := question{place: place, at: netip.AddrPortFrom(at, uint16(r.job.Port)), scheme: r.job.Scheme, host: r.job.Names[0], path: path}
			it := Item{Kind: KindHTTP, Source: q.source(), Title: fmt.Sprintf("How %s answers to GET %s.", q.source(), path)}
			out = append(out, task{it, func(ctx context.Context, it Item) []Item { return r.page(ctx, it, q) }})
		})
	}
	return out
}

// page gives what happened, and the page itself where there is one.
func (r *run) page(ctx context.Context, it Item, q question) []Item {
	a := q.ask(ctx, r.o.Now)
	it.Took, it.ClockOffset = r.o.Now().Sub(it.At), a.offset
	it.Summary, it.Problem = a.says(ctx, r.o.Item)
	it.Body = a.text(it)
	if a.resp == nil || len(a.body) == 0 {
		return []Item{it}
	}
	page := it
	page.Title = fmt.Sprintf("What %s sent for GET %s.", q.source(), q.path)
	page.Summary = fmt.Sprintf("It is %s of %s, sent with status %d.", size(float64(len(a.body))), mediaType(a), a.resp.StatusCode)
	page.Type, page.Body, page.Truncated = mediaType(a), a.body, a.more || a.err != nil
	if page.Truncated {
		page.Summary = fmt.Sprintf("It begins with these %s of %s, sent with status %d; the rest is not here.", size(float64(len(a.body))), mediaType(a), a.resp.StatusCode)
	}
	return []Item{it, page}
}

func mediaType(a *asking) string {
	if t := strings.TrimSpace(a.resp.Header.Get("Content-Type")); t != "" {
		return clip(t, 100)
	}
	return "application/octet-stream"
}

// says is the answer in one sentence, and the problem where there was none.
func (a *asking) says(ctx context.Context, limit time.Duration) (summary, problem string) {
	cause := ""
	if a.err != nil {
		cause = why(ctx, a.err, limit)
	}
	if a.resp == nil {
		return fmt.Sprintf("GET %s got no answer: %s.", a.path, cause), cause
	}
	first := a.steps[len(a.steps)-1].after
	for _, s := range a.steps {
		if strings.HasPrefix(s.what, "first byte") {
			first = s.after
		}
	}
	summary = fmt.Sprintf("GET %s answered %d after %s", a.path, a.resp.StatusCode, span(first))
	if cause != "" {
		summary += fmt.Sprintf(", but only %s of the page came: %s", size(float64(len(a.body))), cause)
	}
	return summary + ".", ""
}

// text is the asking for people: what happened when, and the answer's header.
func (a *asking) text(it Item) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s\nHost: %s\nasked of %s, %s\n\n", a.path, a.target().Authority(), it.Source, stamp(it.At))
	for _, s := range a.steps {
		fmt.Fprintf(&b, "%8d ms  %s\n", s.after.Milliseconds(), s.what)
	}
	if a.err != nil {
		fmt.Fprintf(&b, "%8d ms  %s\n", it.Took.Milliseconds(), line(it.Summary))
	}
	if a.resp == nil {
		if len(a.begin) > 0 {
			fmt.Fprintf(&b, "\n%s came; it began with %q\n", size(float64(a.came)), a.begin)
		}
		return b.Bytes()
	}
	if a.resp.Header.Get("Date") != "" {
		fmt.Fprintf(&b, "\nits clock is %s\n", ahead(it.ClockOffset))
	}
	fmt.Fprintf(&b, "\n%s %s\n", a.resp.Proto, line(a.resp.Status))
	for _, name := range slices.Sorted(maps.Keys(a.resp.Header)) {
		for _, v := range a.resp.Header[name] {
			fmt.Fprintf(&b, "%s: %s\n", line(name), clip(redacted(name, v), 4096))
		}
	}
	return b.Bytes()
}

// ahead is an offset of a clock in words.
func ahead(d time.Duration) string {
	switch {
	case d.Abs() <= time.Second: // a Date has whole seconds
		return "right"
	case d > 0:
		return d.String() + " ahead of ours"
	}
	return (-d).String() + " behind ours"
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

const removed = "(removed)"

// secretHeaders are those whose values open doors, by the end of their names:
// X-Auth-Token, X-Api-Key.
var secretHeaders = []string{"authorization", "authentication-info", "cookie", "cookie2", "token", "api-key", "apikey", "access-key", "secret-key", "secret", "password", "session", "session-id", "credential", "credentials", "jwt"}

// redacted is a header's value without what is secret in it. Of a cookie the name
// stays, of a link all but its query, where single sign-on carries its codes.
func redacted(name, value string) string {
	name = strings.ToLower(name)
	if name == "set-cookie" {
		if cookie, _, named := strings.Cut(value, "="); named && !strings.Contains(cookie, ";") {
			return cookie + "=" + removed
		}
		return removed
	}
	if slices.ContainsFunc(secretHeaders, func(s string) bool { return name == s || strings.HasSuffix(name, "-"+s) }) {
		return removed
	}
	if name == "location" || name == "content-location" || name == "refresh" || name == "link" {
		return withoutQuery(value)
	}
	return value
}

func withoutQuery(link string) string {
	if u, err := url.Parse(link); err == nil && u.User != nil {
		u.User = url.User("removed")
		link = u.String()
	}
	if i := strings.IndexAny(link, "?#"); i >= 0 {
		return link[:i+1] + removed
	}
	return link
}
