package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
)

// The cookie that holds a sign-in, how often a token may be tried.
const (
	cookieName   = "lifeboat_session"
	secureCookie = "__Host-" + cookieName // browsers take it only over TLS, for this host alone
	cookieLife   = 12 * time.Hour         // the longest that a session lasts; the book of accounts ends it sooner
	triesAtOnce  = 10
	tryEvery     = 6 * time.Second
	maxDoors     = 4096

	pressesAtOnce = 240 // of one person or token, as for the API; what leads to safety is not counted
	pressEvery    = 250 * time.Millisecond
	filesAtOnce   = 20 // of one person or token, as for the API: the folder of evidence is everybody's
	fileEvery     = 5 * time.Second
)

// secured says whether the browser speaks TLS, as far as that can be told: the
// configuration says so, we end it, or what ends it on this machine says so. From elsewhere
// the header is anybody's word.
func (s *server) secured(r *http.Request) bool {
	return s.onlyTLS() || r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") && nearby(r)
}

// onlyTLS says whether the configuration has everybody come over TLS: then no cookie is
// made or taken that a browser sends without.
func (s *server) onlyTLS() bool { return strings.HasPrefix(s.o.URL, "https://") }

// cookieOver is secured for an answer that sets a cookie: what a form is sent with tells
// the page's own scheme even where nothing in front of us does. Who says so untruly gets a
// cookie that their own browser does not send back, and nothing else.
func (s *server) cookieOver(r *http.Request) bool {
	return s.secured(r) || strings.HasPrefix(r.Header.Get("Origin"), "https://")
}

// barred says whether the browser would not keep the cookie that it would be given: it has
// the page over plain HTTP, and not from its own machine.
func (s *server) barred(r *http.Request) bool {
	u, err := url.Parse(r.Header.Get("Origin"))
	if !s.onlyTLS() || err != nil || u.Scheme != "http" {
		return false
	}
	at, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !at.IsLoopback())
}

// nearby says whether a request comes from this machine.
func nearby(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// cameFrom is the address that a request comes from. What ends TLS on this machine tells
// it in X-Forwarded-For, of which the last is what it has seen itself. From elsewhere that
// header is anybody's word.
func cameFrom(r *http.Request) string {
	told := r.Header.Values("X-Forwarded-For")
	if !nearby(r) || len(told) == 0 {
		return r.RemoteAddr
	}
	last := told[len(told)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	if at, err := netip.ParseAddrPort(last); err == nil {
		return at.Addr().WithZone("").String()
	}
	if at, err := netip.ParseAddr(strings.Trim(last, "[]")); err == nil {
		return at.WithZone("").String()
	}
	return r.RemoteAddr
}

// session gives the sign-in that a request carries. Over TLS only the cookie counts that
// nobody without TLS can set.
func (s *server) session(r *http.Request) (who account.Session, raw string, good bool) {
	names := []string{secureCookie, cookieName}
	if s.secured(r) {
		names = names[:1]
	}
	for _, name := range names {
		if c, err := r.Cookie(name); err == nil {
			if who, good = s.o.Accounts.Session(c.Value); good {
				return who, c.Value, true
			}
		}
	}
	return account.Session{}, "", false
}

// actor is how a person's acts stand in the timeline.
func actor(who account.Session) incident.Actor {
	return incident.Actor{Kind: "person", ID: who.Who.Account + who.Who.Token, Name: who.Name, Via: "web", Role: string(who.Role)}
}

// signedIn lets only those pass who are signed in; the others meet the sign-in page,
// with what they typed if their sign-in ended meanwhile.
func (s *server) signedIn(next func(http.ResponseWriter, *http.Request, account.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, _, good := s.session(r)
		if !good {
			s.stranger(w, r)
			return
		}
		next(w, r, who)
	}
}

// stranger sends the browser to the sign-in page. A form is answered with that page
// itself: nothing was done, and the form comes back once somebody has signed in.
func (s *server) stranger(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == enterPath {
		s.showSignIn(w, r, http.StatusOK, signInForm{Then: toEnter(r.URL.Query())}, message{})
		return
	}
	if r.Method != http.MethodPost {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	m := message{Kind: "failed", Text: "Your sign-in has ended, so nothing was done.", Next: "Sign in again, then press again."}
	c := carry(r)
	text := typed(r)
	switch {
	case c.Path != "":
		m.Next = "Sign in again below: the form comes back as you filled it in, and you press once more."
		if isUpload(r) {
			m.Next += " Only the file has to be chosen again."
		}
	case text != "":
		m.Next = "Copy what you typed, sign in again, and send it again."
	}
	s.showSignIn(w, r, http.StatusForbidden, signInForm{Typed: text, Then: c}, m)
}

// setCookie gives a browser its sign-in.
func (s *server) setCookie(w http.ResponseWriter, r *http.Request, value string) {
	c := cookie(cookieName, value, cookieLife)
	if s.cookieOver(r) {
		c = cookie(secureCookie, value, cookieLife)
	}
	http.SetCookie(w, c)
}

// clearCookies takes it away, whichever it was.
func clearCookies(w http.ResponseWriter) {
	for _, name := range []string{cookieName, secureCookie} {
		http.SetCookie(w, cookie(name, "", -time.Second))
	}
}

func cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: name == secureCookie, SameSite: http.SameSiteLaxMode}
}

// leave ends the session, here and for good.
func (s *server) leave(w http.ResponseWriter, r *http.Request) {
	if _, raw, good := s.session(r); good {
		if err := s.o.Accounts.Close(r.Context(), raw); err != nil {
			s.o.Logger.Warn("a sign-out is not kept yet", "cause", err)
		}
	}
	clearCookies(w)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// doors counts tries by who makes them (an address, of IPv6 a whole network, or the owner
// of a sign-in): a bucket each, of bounded number.
type doors struct {
	now    func() time.Time
	atOnce int
	every  time.Duration // brings one try back
	mu     sync.Mutex    // guards m
	m      map[string]bucket
}

type bucket struct {
	left int
	at   time.Time
}

func newDoors(now func() time.Time, atOnce int, every time.Duration) *doors {
	return &doors{now: now, atOnce: atOnce, every: every, m: map[string]bucket{}}
}

// try takes one try, or says how long to wait for the next.
func (d *doors) try(remote string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, host := d.now(), houseOf(remote)
	b, known := d.m[host]
	if !known {
		if len(d.m) >= maxDoors { // forget all: better than to lock somebody out for good
			d.m = map[string]bucket{}
		}
		b = bucket{d.atOnce, now}
	}
	switch more := int(min(now.Sub(b.at)/d.every, time.Duration(d.atOnce))); {
	case more > 0:
		b.left, b.at = min(d.atOnce, b.left+more), now
	case now.Before(b.at): // the clock was set back: nobody waits for it to catch up
		b.at = now
	}
	var wait time.Duration
	if b.left > 0 {
		b.left--
	} else {
		wait = max(time.Second, b.at.Add(d.every).Sub(now).Round(time.Second))
	}
	d.m[host] = b
	return wait
}

// forgive gives a try back: it was not in vain.
func (d *doors) forgive(remote string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	host := houseOf(remote)
	if b, known := d.m[host]; known {
		b.left = min(d.atOnce, b.left+1)
		d.m[host] = b
	}
}

// houseOf is what of an address one person has: of IPv6, all of a /64.
func houseOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, _ := ip.Prefix(64) // it has 128 bits
	return p.String()
}
