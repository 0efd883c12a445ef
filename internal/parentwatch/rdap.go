package parentwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The bounds of a question to a registry.
const (
	rdapTime      = 10 * time.Second
	rdapSize      = 512 << 10 // bytes of an answer
	rdapRedirects = 4
	rdapTries     = 4                   // names, from the zone's upwards
	expiresSoon   = 30 * 24 * time.Hour // then it is told
)

// Registration is what the registry says of the domain (RFC 9083).
type Registration struct {
	Domain  string    `json:"domain,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Status  []string  `json:"status,omitempty" doc:"as the registry calls it"`
	Problem string    `json:"problem,omitempty" doc:"why nothing is known"`
}

// RDAP asks registries over HTTPS (RFC 7480, 9082), by way of a server that knows which
// one to ask, such as https://rdap.org/.
type RDAP struct {
	base   *url.URL
	client *http.Client
}

// NewRDAP makes an RDAP of a server's address, which MUST be https. The transport is
// the network's where it is nil.
func NewRDAP(base string, transport http.RoundTripper) (*RDAP, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "%.100q is no address of an RDAP server", base).WithHint("for example https://rdap.org/")
	}
	follow := func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" || len(via) > rdapRedirects {
			return errors.New("it leads away from https, or on and on")
		}
		return nil
	}
	return &RDAP{base: u, client: &http.Client{Transport: transport, CheckRedirect: follow, Timeout: rdapTime}}, nil
}

// Ask asks about the domain that a zone belongs to: of the zone's name and those above
// it, the first that a registry knows.
func (r *RDAP) Ask(ctx context.Context, apex string) Registration {
	name := strings.TrimSuffix(apex, ".")
	for range rdapTries {
		got, known, err := r.one(ctx, name)
		switch {
		case err != nil:
			return Registration{Problem: "the registry was not reached: " + cause(err)}
		case known:
			return got
		}
		_, above, more := strings.Cut(name, ".")
		if !more || !strings.Contains(above, ".") {
			break
		}
		name = above
	}
	return Registration{Problem: "no registry knows the domain"}
}

// cause is an error without the address that was asked.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// one asks about one name; known is false where it is no registered domain.
func (r *RDAP) one(ctx context.Context, name string) (got Registration, known bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base.JoinPath("domain", name).String(), nil)
	if err != nil {
		return got, false, err
	}
	req.Header.Set("Accept", "application/rdap+json")
	res, err := r.client.Do(req)
	if err != nil {
		return got, false, err
	}
	defer func() { _ = res.Body.Close() }() // what matters has been read
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusBadRequest:
		return got, false, nil
	case res.StatusCode != http.StatusOK:
		return got, false, fmt.Errorf("it answers %d", res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, rdapSize+1))
	if err == nil && len(b) > rdapSize {
		err = fmt.Errorf("its answer has more than %d bytes", rdapSize)
	}
	if err != nil {
		return got, false, err
	}
	got, err = parseRDAP(b)
	got.Domain = name + "."
	return got, err == nil, err
}

// parseRDAP reads a domain's answer.
func parseRDAP(b []byte) (Registration, error) {
	var d struct {
		Class  string   `json:"objectClassName"`
		Status []string `json:"status"`
		Events []struct {
			Action string `json:"eventAction"`
			Date   string `json:"eventDate"`
		} `json:"events"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return Registration{}, fmt.Errorf("its answer can't be read: %w", err)
	}
	if d.Class != "domain" {
		return Registration{}, errors.New("its answer is not about a domain")
	}
	var out Registration
	for _, e := range d.Events {
		if at, err := time.Parse(time.RFC3339, e.Date); err == nil && e.Action == "expiration" {
			out.Expires = at.UTC()
		}
	}
	for _, s := range d.Status[:min(len(d.Status), 20)] {
		out.Status = append(out.Status, fmt.Sprintf("%.60s", strings.ToValidUTF8(s, "?")))
	}
	return out, nil
}

// judge tells of a domain that is about to go, or is held back by its registry.
func (r *Registration) judge(now time.Time, worse func(State, string, ...any)) {
	if r == nil || r.Problem != "" {
		return
	}
	for _, s := range []string{"server hold", "client hold", "redemption period", "pending delete", "inactive"} {
		if slices.ContainsFunc(r.Status, func(have string) bool { return strings.EqualFold(have, s) }) {
			worse(Unseen, "The registry has %s at %q: names in it stop working. Call the registrar.", r.Domain, s)
		}
	}
	switch left := r.Expires.Sub(now); {
	case r.Expires.IsZero():
	case left <= 0:
		worse(Partly, "The domain %s expired on %s. Renew it now.", r.Domain, r.Expires.Format(time.DateOnly))
	case left < expiresSoon:
		worse(Partly, "The domain %s expires on %s, in %d days. Renew it.", r.Domain, r.Expires.Format(time.DateOnly), int(left.Hours()/24))
	}
}
