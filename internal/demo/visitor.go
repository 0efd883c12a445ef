package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/standby"
)

// visitor is one person with a basket, who knows only the site's name.
type visitor struct {
	crowd  *crowd
	client *http.Client
}

func newVisitor(c *crowd) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := c.client()
	client.Jar, client.Timeout = jar, patient
	return &visitor{crowd: c, client: client}, nil
}

// page is an answer that was read to its end.
type page struct {
	status int
	header http.Header
	text   string
}

// ask sends one request; a form makes it a POST.
func (v *visitor) ask(ctx context.Context, url string, form url.Values, accept string) (page, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", accept)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	text, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	return page{res.StatusCode, res.Header, string(text)}, err
}

const (
	html   = "text/html"
	asJSON = "application/json"
)

// buy puts something into the basket and orders it; it gives the order's page.
func (v *visitor) buy(ctx context.Context) (string, error) {
	steps := []struct {
		path string
		form url.Values
		want int
	}{
		{"/", nil, http.StatusOK},
		{"/products/1", nil, http.StatusOK},
		{"/basket/add", url.Values{"product": {"1"}}, http.StatusSeeOther},
		{"/checkout", nil, http.StatusOK},
		{"/checkout", url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "address": {"1 Quay Street"}}, http.StatusSeeOther},
	}
	var last page
	for _, s := range steps {
		p, err := v.ask(ctx, v.crowd.url(Host, s.path), s.form, html)
		if err != nil {
			return "", fmt.Errorf("visit %s: %w", s.path, err)
		}
		if p.status != s.want || p.header.Get(shop.OriginHeader) != "main" {
			return "", fmt.Errorf("visit %s: it answered %d from %q, expected %d from main", s.path, p.status, p.header.Get(shop.OriginHeader), s.want)
		}
		last = p
	}
	order := last.header.Get("Location")
	p, err := v.ask(ctx, v.crowd.url(Host, order), nil, html)
	if err != nil || p.status != http.StatusOK || !strings.Contains(p.text, "Thank you, Ada") {
		return "", fmt.Errorf("visit %s: it answered %d (%v), expected the order", order, p.status, err)
	}
	return order, nil
}

// readStandby looks at the standby as a visitor, as a program, and at the status
// page's own name.
func (v *visitor) readStandby(ctx context.Context) error {
	looks := []struct {
		host, accept, media, holds string
		status                     int
	}{
		{Host, html, html, "<html", http.StatusServiceUnavailable},
		{wwwHost, asJSON, "application/problem+json", `"status"`, http.StatusServiceUnavailable},
		{statusHost, html, html, "<html", http.StatusOK},
	}
	for _, l := range looks {
		p, err := v.ask(ctx, v.crowd.url(l.host, "/"), nil, l.accept)
		if err != nil {
			return fmt.Errorf("visit %s: %w", l.host, err)
		}
		inCrisis := l.status == http.StatusServiceUnavailable
		switch {
		case p.status != l.status, !strings.HasPrefix(p.header.Get("Content-Type"), l.media), !strings.Contains(p.text, l.holds):
			return fmt.Errorf("visit %s: it answered %d with %q, expected %d with %s", l.host, p.status, p.header.Get("Content-Type"), l.status, l.media)
		case inCrisis && (p.header.Get(standby.Marker) == "" || p.header.Get("Retry-After") == ""):
			return fmt.Errorf("visit %s: the page does not say that it is the standby's, or when to come again", l.host)
		case inCrisis && !strings.Contains(p.header.Get("Cache-Control"), "no-store"): // the status page's own may be asked for again
			return fmt.Errorf("visit %s: the page may be kept by caches", l.host)
		}
	}
	return nil
}

// flag asks the kill switches over OFREP whether the checkout is open.
func flag(ctx context.Context, ofrep string) (open bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+ofrep+"/ofrep/v1/evaluate/flags/"+checkout, strings.NewReader(`{"context":{}}`))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", asJSON)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	var said struct {
		Value *bool `json:"value"`
	}
	err = json.NewDecoder(io.LimitReader(res.Body, maxPage)).Decode(&said)
	if err != nil || said.Value == nil {
		return false, fmt.Errorf("ask for the feature %s: it answered %s", checkout, res.Status)
	}
	return *said.Value, nil
}
