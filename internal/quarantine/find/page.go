package find

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"lifeboat/internal/fault"
)

// Site is where rows' own pages are asked for: one address, by the name that
// visitors use.
type Site struct {
	Scheme  string
	Host    string
	Address netip.AddrPort
	Roots   *tls.Config // nil: the system's
}

// The bounds of asking pages: enough to find a row, too few to add to the trouble.
const (
	maxPages = 100
	pageFor  = 5 * time.Second
	maxBody  = 1 << 20
)

// Ask asks for one page. Harm is a status of 500 or more, or no answer.
func (s Site) Ask(ctx context.Context, path string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, pageFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Scheme+"://"+s.Host+path, nil)
	if err != nil {
		return Answer{}, fault.New(fault.Invalid, "the page's path can't be asked for").At(path).WithHint("correct pages under the database")
	}
	req.Header.Set("User-Agent", "lifeboat")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Address.String())
		},
		TLSClientConfig: s.Roots, DisableKeepAlives: true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{Harm: true, Says: "the page does not answer"}, nil
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		return Answer{Harm: true, Says: "the page ends half way"}, nil
	}
	return Answer{Harm: resp.StatusCode >= 500, Says: fmt.Sprintf("the page answers %d", resp.StatusCode)}, nil
}

// ByPages asks for each candidate's own page, the likeliest first, read only. Those
// that fail where others load are the finding.
func ByPages(ctx context.Context, list []Candidate, ask func(ctx context.Context, path string) (Answer, error)) (Located, error) {
	f := Located{Rows: []Candidate{}}
	loaded := 0
	for _, c := range list {
		if c.Page == "" || f.Asked == maxPages {
			continue
		}
		f.Asked++
		a, err := ask(ctx, c.Page)
		if err != nil {
			return f, err
		}
		if ctx.Err() != nil {
			return f, fault.New(fault.Unavailable, "the time was over before all pages were asked").WithHint("ask fewer tables at a time")
		}
		if a.Harm {
			f.Rows, f.Before = append(f.Rows, c), a.Says
		} else {
			f.After = a.Says
			loaded++
		}
	}
	switch {
	case f.Asked == 0:
		f.Words = "No candidate has a page of its own: write pages under the database, as in pages: {orders: \"/orders/{id}\"}."
	case len(f.Rows) == 0:
		f.Words = fmt.Sprintf("All %d pages load: none of the candidates does harm on its own page.", f.Asked)
	case loaded == 0 && f.Asked > 1, len(f.Rows) > 3 && len(f.Rows) > loaded:
		f.Words = fmt.Sprintf("%d of %d pages fail: it is not one row. Look for another cause.", len(f.Rows), f.Asked)
		f.Rows = []Candidate{}
	case len(f.Rows) == 1:
		f.Words = fmt.Sprintf("%s breaks %s: %s, and %d other pages of its kind load.", upper(f.Rows[0].Name()), f.Rows[0].Page, f.Before, loaded)
	default:
		f.Words = f.sentence()
	}
	return f, nil
}
