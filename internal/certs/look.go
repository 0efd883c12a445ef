package certs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Looker looks at the world for the daily look.
type Looker interface {
	// Shown is the chain that is shown for a name at an address, DER, leaf first.
	Shown(ctx context.Context, at netip.AddrPort, name string) ([][]byte, error)
	// Headers are those of an answer for / at an address, by name, over HTTPS.
	Headers(ctx context.Context, at netip.AddrPort, name string) (http.Header, error)
	// CAA are the records that count for a name (RFC 8659 section 3).
	CAA(ctx context.Context, name string) (CAA, error)
	// Services are the HTTPS records of a name.
	Services(ctx context.Context, name string) ([]Service, error)
}

// World is the Looker that asks over the network.
type World struct {
	Ask   Ask            // whom the DNS is asked of
	Roots *x509.CertPool // that production's certificates lead to; nil: the machine's own
	Now   func() time.Time
}

const lookTime = 5 * time.Second // of one question of the daily look

// Shown does a TLS handshake and takes whatever chain is shown: judging it is for the
// caller.
func (w World) Shown(ctx context.Context, at netip.AddrPort, name string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: -1}, Config: &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // the chain is compared with the one that is held
	c, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // nothing was sent
	var out [][]byte
	for _, cert := range c.(*tls.Conn).ConnectionState().PeerCertificates {
		out = append(out, cert.Raw)
	}
	return out, nil
}

// Headers asks with GET, because some servers answer HEAD in another way, and reads no
// body.
func (w World) Headers(ctx context.Context, at netip.AddrPort, name string) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	t := &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{ServerName: name, RootCAs: w.Roots, Time: w.Now, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, at.String())
		},
	}
	defer t.CloseIdleConnections()
	host := name
	if at.Port() != 443 {
		host = net.JoinHostPort(name, strconv.Itoa(int(at.Port())))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "lifeboat (readiness)")
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close() // not read
	return res.Header, nil
}

// CAA climbs from the name towards the root until there are records.
func (w World) CAA(ctx context.Context, name string) (CAA, error) {
	for at := strings.TrimPrefix(strings.TrimSuffix(name, "."), "*.") + "."; at != ""; _, at, _ = strings.Cut(at, ".") {
		a, err := w.Ask(ctx, at, typeCAA)
		if err != nil {
			return CAA{}, err
		}
		c := CAA{At: at}
		for _, data := range a.of(typeCAA) {
			if r, ok := ParseCAA(data); ok {
				c.Records = append(c.Records, r)
			}
		}
		if len(c.Records) > 0 {
			return c, nil
		}
	}
	return CAA{}, nil
}

// Services are the HTTPS records of a name.
func (w World) Services(ctx context.Context, name string) ([]Service, error) {
	a, err := w.Ask(ctx, strings.TrimSuffix(name, ".")+".", typeHTTPS)
	if err != nil {
		return nil, err
	}
	var out []Service
	for _, data := range a.of(typeHTTPS) {
		if s, ok := ParseService(data); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// lookIfDue looks at everything once a day, and sooner after a change and while
// something is not served as it should be.
func (k *Keeper) lookIfDue(ctx context.Context) {
	now := k.o.Now()
	k.mu.Lock()
	every := lookEvery
	for _, f := range k.facts {
		if f.Here.Seen == Bad || f.Outside.Seen == Bad {
			every = lookAgain
		}
	}
	due := passed(k.lookedAt, now, every) && passed(k.handedAt, now, settle)
	k.mu.Unlock()
	if due && (k.o.Ready == nil || k.o.Ready()) {
		k.LookNow(ctx)
	}
}

// passed says whether a wait is over. A clock that was set back holds nothing up.
func passed(since, now time.Time, wait time.Duration) bool {
	waited := now.Sub(since)
	return waited < 0 || waited >= wait
}

// lookSoon has Run look at everything again.
func (k *Keeper) lookSoon() {
	k.mu.Lock()
	k.lookedAt = time.Time{}
	k.mu.Unlock()
	k.Wake()
}

// sideBySide are the names that are looked at at once.
const sideBySide = 8

// LookNow looks at all names, several at a time, and remembers what it saw.
func (k *Keeper) LookNow(ctx context.Context) {
	if k.o.Look == nil || k.o.Places == nil {
		return
	}
	var asking Asking
	if k.issuer != nil {
		asking = Asking{Names: k.issuer.identities(ctx), Account: k.issuer.accountURL(), Method: k.method()}
	}
	places := k.o.Places()
	seen := make([]Facts, len(places))
	var wg sync.WaitGroup
	slots := make(chan struct{}, sideBySide)
	for i, p := range places {
		slots <- struct{}{}
		wg.Go(func() { // ends with its questions, each bounded
			defer func() { <-slots }()
			seen[i] = k.look(ctx, p, asking)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.facts = map[string]Facts{}
	for _, f := range seen {
		k.facts[f.Name] = f
	}
	k.lookedAt = k.o.Now()
}

// method is how names are proved.
func (k *Keeper) method() string {
	if len(k.o.Solvers) == 0 {
		return ""
	}
	return k.o.Solvers[0].Kind()
}

// look looks at one name.
func (k *Keeper) look(ctx context.Context, p Place, asking Asking) Facts {
	f := Facts{Site: p.Site, Name: p.Name, Asking: asking, Rehearsed: p.Rehearsed}
	k.mu.Lock()
	var chain [][]byte
	if h := k.serving(p.Name); h != nil {
		chain = h.cert.Chain
	}
	f.Below = slices.DeleteFunc(slices.Clone(p.Below), func(name string) bool { return k.serving(name) != nil })
	k.mu.Unlock()
	for _, a := range p.Standby {
		f.Standby = append(f.Standby, a.Addr().Unmap().String())
	}
	f.Here = k.shown(ctx, []netip.AddrPort{p.Here}, p.Name, chain, "the answer process has no HTTPS listener")
	f.Outside = k.shown(ctx, p.Standby, p.Name, chain, cmp.Or(p.Why, "the standby has no address"))
	if p.Why != "" && f.Outside.Seen == Good {
		f.Outside = Glance{NotLooked, p.Why}
	}
	f.HeadersSeen, f.HSTS, f.AltSvc = k.headers(ctx, p)
	var err error
	if f.CAA, err = k.o.Look.CAA(ctx, p.Name); err == nil {
		f.CAASeen = Glance{Seen: Good}
	} else {
		f.CAASeen = Glance{NotLooked, short(err)}
	}
	if f.Services, err = k.o.Look.Services(ctx, p.Name); err == nil {
		f.ServiceSeen = Glance{Seen: Good}
	} else {
		f.ServiceSeen = Glance{NotLooked, short(err)}
	}
	return f
}

// shown looks whether the chain that is held is the one that is shown.
func (k *Keeper) shown(ctx context.Context, at []netip.AddrPort, name string, chain [][]byte, none string) Glance {
	at = slices.DeleteFunc(slices.Clone(at), func(a netip.AddrPort) bool { return !a.IsValid() })
	switch {
	case len(at) == 0:
		return Glance{NotLooked, none}
	case len(chain) == 0:
		return Glance{NotLooked, "there is no certificate to look for"}
	}
	for _, a := range at {
		got, err := k.o.Look.Shown(ctx, a, name)
		switch {
		case err != nil && ctx.Err() != nil:
			return Glance{NotLooked, "there was no time"}
		case err != nil:
			return Glance{Bad, a.String() + ": " + short(err)}
		case !slices.EqualFunc(got, chain, bytes.Equal):
			return Glance{Bad, a.String() + " shows another certificate than the one that is held"}
		}
	}
	return Glance{Seen: Good}
}

// headers asks production what it tells browsers.
func (k *Keeper) headers(ctx context.Context, p Place) (Glance, HSTS, time.Duration) {
	if p.Own {
		return Glance{Seen: Good}, HSTS{}, 0
	}
	if len(p.Origins) == 0 {
		return Glance{NotLooked, "no origin has an address"}, HSTS{}, 0
	}
	var h HSTS
	var alt time.Duration
	for _, a := range p.Origins {
		got, err := k.o.Look.Headers(ctx, a, p.Name)
		if err != nil {
			return Glance{NotLooked, a.String() + ": " + short(err)}, HSTS{}, 0
		}
		if x := ParseHSTS(got.Get("Strict-Transport-Security")); x.MaxAge > h.MaxAge {
			h = x
		}
		alt = max(alt, ParseAltSvc(strings.Join(got.Values("Alt-Svc"), ",")))
	}
	return Glance{Seen: Good}, h, alt
}

// short says in a few words why somebody could not be asked.
func short(err error) string {
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &alert):
		return "the handshake was refused: " + alert.Error()
	case errors.As(err, &op) && op.Err != nil && op.Op == "dial":
		return "no connection: " + op.Err.Error()
	}
	return cut(err.Error())
}

// Holdings are all that is shown of certificates.
type Holdings struct {
	At           time.Time   `json:"at"`
	Score        int         `json:"score" doc:"the smallest of the names' readiness, 0 to 100; 100 without a name"`
	Authority    string      `json:"authority,omitempty" doc:"the directory that certificates are asked of"`
	Account      string      `json:"account,omitempty" doc:"the account there, for CAA records with accounturi"`
	LookedAt     time.Time   `json:"looked_at,omitzero" doc:"when all was looked at last; not there before the first look"`
	Names        []Readiness `json:"names"`
	Certificates []Held      `json:"certificates" doc:"in the order that they are served in"`
	Renewals     []Renewal   `json:"renewals"`
	Problems     []Trouble   `json:"problems"`
}

// Renewal is what is known of a certificate that the authority is asked for.
type Renewal struct {
	ID        string    `json:"id" example:"shop.ecdsa"`
	Due       time.Time `json:"due,omitzero" doc:"when it will be renewed"`
	Asked     bool      `json:"asked" doc:"the authority named that time (ARI); else it is a third of the lifetime before the end"`
	Failures  int       `json:"failures" doc:"in a row"`
	LastTry   time.Time `json:"last_try,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	NextTry   time.Time `json:"next_try,omitzero"`
}

// View says how things are, without looking.
func (k *Keeper) View() Holdings {
	now := k.o.Now()
	v := Holdings{At: now.UTC(), Score: 100, Names: []Readiness{}, Certificates: []Held{}, Renewals: []Renewal{}, Problems: []Trouble{}}
	if k.issuer != nil {
		v.Authority, v.Account = k.o.Authority.Directory, k.issuer.accountURL()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	v.LookedAt, v.Certificates, v.Problems = k.lookedAt, append(v.Certificates, k.held...), append(v.Problems, k.problems...)
	for _, w := range k.o.Wanted {
		for _, name := range w.Names {
			if w.Here { // visitors of sites do not come to it
				v.Problems = append(v.Problems, k.lacking(w, name, now)...)
				continue
			}
			r := Ready(k.factsOf(w, name), now)
			v.Names, v.Score = append(v.Names, r), min(v.Score, r.Score)
		}
		v.Renewals = append(v.Renewals, k.renewals(w)...)
	}
	return v
}

// lacking is what is wrong with a name that is served by this process itself: that its
// certificate could not be had.
func (k *Keeper) lacking(w Wanted, name string, now time.Time) []Trouble { // with mu held
	it := k.failing(w.ID)
	h := k.serving(name)
	if it.Failures == 0 || h != nil && !h.below(renewLeft, now) {
		return nil
	}
	return []Trouble{{name, "its certificate could not be had: " + it.LastError, "See why: lifeboat certs. Until then the console shows one of its own making, known by its fingerprint: lifeboat console fingerprint."}}
}

// factsOf joins what was seen with what is held now.
func (k *Keeper) factsOf(w Wanted, name string) Facts { // with mu held
	f, looked := k.facts[name]
	if !looked {
		f = Facts{Site: w.ID, Name: name}
	}
	f.Held, f.Managed = k.serving(name), k.issuer != nil
	if f.Held != nil {
		f.Chain = f.Held.untrusted
		f.Managed = f.Managed && (f.Held.Source == FromAuthority || f.Held.below(warnLeft, k.o.Now()))
	}
	if it := k.failing(w.ID); it.Failures > 0 && k.issuer != nil {
		f.Failing, f.Failures = it.LastError, it.Failures
	}
	return f
}

func (k *Keeper) renewals(w Wanted) (out []Renewal) { // with mu held
	if k.issuer == nil {
		return nil
	}
	for _, kind := range k.o.Authority.Keys {
		id := w.ID + "." + kind
		it := k.state.Items[id]
		r := Renewal{ID: id, Failures: it.Failures, LastTry: it.LastTry, LastError: it.LastError, NextTry: it.NextTry}
		if h, have := k.current(id); have {
			r.Due = h.Until.Add(-h.lifetime() / renewLeft)
			if it.Serial == h.Serial && !it.Selected.IsZero() {
				latest := h.Until.Add(-h.lifetime() / warnLeft)
				if r.Due, r.Asked = it.Selected, true; r.Due.After(latest) {
					r.Due, r.Asked = latest, false
				}
			}
		}
		out = append(out, r)
	}
	return out
}
