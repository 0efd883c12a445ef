package standby

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
)

// The way into a private page.
const (
	unlockPath  = "/unlock"
	unlockField = "password"
	enterField  = "pass"        // what the console gave to who has signed in
	cookieName  = "status"      // who knew the password
	passCookie  = "status_pass" // who has signed in: the browser's secret and the pass
	wayCookie   = "status_way"  // who is on the way to sign in: the browser's secret
	cookieFor   = 30 * 24 * time.Hour
	wayFor      = 15 * time.Minute
	maxForm     = 4 << 10
	maxPassword = 200 // bytes

	triesPerMinute = 10   // of one network
	triesAtAll     = 120  // a minute, of all together: each costs some 20 ms
	maxBrought     = 8192 // passes that were brought within their minute
	maxKnown       = 1024 // Basic credentials that were right, by their hash
)

// tries counts who tries passwords. The bound on all together bounds the networks that are
// remembered, too.
type tries struct {
	mu    sync.Mutex // guards the rest
	since time.Time
	all   int
	by    map[netip.Prefix]int
	known map[[32]byte]time.Time
	came  map[string]time.Time // passes that were brought, until they can't be any more
	busy  chan struct{}        // holds one for a password that is being tried
}

func newTries() *tries {
	return &tries{by: map[netip.Prefix]int{}, known: map[[32]byte]time.Time{}, came: map[string]time.Time{}, busy: make(chan struct{}, 1)}
}

// may counts a try and says whether it is allowed.
func (t *tries) may(remote string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) >= time.Minute || now.Before(t.since) {
		t.since, t.all, t.by = now, 0, map[netip.Prefix]int{}
	}
	network := networkOf(remote)
	if t.by[network] >= triesPerMinute || t.all >= triesAtAll { // what is not looked at takes nothing from the others
		return false
	}
	t.all++
	t.by[network]++
	return true
}

// networkOf is the address of a client, of IPv6 its /64.
func networkOf(remote string) netip.Prefix {
	hostText, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a, err := netip.ParseAddr(hostText)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// unlockForm reads the form of a request that unlocks a page; "" for all others.
func unlockForm(r *http.Request) string {
	if r.Method != http.MethodPost || r.URL.Path != unlockPath || mediaType(r.Header.Get("Content-Type")) != "application/x-www-form-urlencoded" {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return ""
	}
	return string(b)
}

// unlock takes a password, or what the console gave, and gives a cookie for it.
func (p *Statused) unlock(w http.ResponseWriter, r *http.Request, s *Server, form string) {
	values, err := url.ParseQuery(form)
	if err != nil {
		values = url.Values{}
	}
	if values.Has(enterField) {
		p.enter(w, r, s, values.Get(enterField))
		return
	}
	if ok, trouble := p.password(values.Get(unlockField), r, s); !ok {
		p.refuse(w, r, trouble)
		return
	}
	p.setCookie(w, r, cookieName, board.Admit(p.page.Private.Key, "read "+p.page.ID, s.now().Add(cookieFor)), cookieFor)
	seeOther(w, r, "/")
}

func seeOther(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Location", to)
	text(w, r, http.StatusSeeOther, "The page is open to you now.\n")
}

// overTLS says whether the browser speaks TLS, as far as that can be told.
func (p *Statused) overTLS(r *http.Request) bool {
	return byTLS(r) || strings.HasPrefix(p.page.URL, "https://") && r.Header.Get("X-Forwarded-Proto") == "https"
}

// cookieOf is what a cookie is called: over TLS so that nobody without TLS, and no other
// name, can set it.
func (p *Statused) cookieOf(r *http.Request, name string) string {
	if p.overTLS(r) {
		return "__Host-" + name
	}
	return name
}

// setCookie gives a browser a cookie for a while: it counts by its own clock, which may be
// wrong.
func (p *Statused) setCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c := &http.Cookie{Name: p.cookieOf(r, name), Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: p.overTLS(r)}
	if value == "" {
		c.MaxAge = -1
	}
	if name == wayCookie && c.Secure { // the console is another site, and its form brings the pass
		c.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
}

func (p *Statused) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(p.cookieOf(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}

// password says whether a password is right. It is slow on purpose, and so bounded.
func (p *Statused) password(password string, r *http.Request, s *Server) (bool, statuspage.Trouble) {
	if p.page.Private.Hash == "" || password == "" || len(password) > maxPassword {
		return false, statuspage.Wrong
	}
	if !s.tries.may(r.RemoteAddr, s.now()) {
		return false, statuspage.TooMany
	}
	select {
	case s.tries.busy <- struct{}{}:
		defer func() { <-s.tries.busy }()
	case <-r.Context().Done():
		return false, statuspage.TooMany
	}
	if !board.Matches(p.page.Private.Hash, password) {
		return false, statuspage.Wrong
	}
	return true, statuspage.NoTrouble
}

// admits says whether who asks may read a private page.
func (p *Statused) admits(r *http.Request, s *Server) (bool, statuspage.Trouble) {
	if c := p.cookie(r, cookieName); c != "" && board.Admits(p.page.Private.Key, "read "+p.page.ID, c, s.now()) {
		return true, statuspage.NoTrouble
	}
	if p.signedIn(r, s.now()) {
		return true, statuspage.NoTrouble
	}
	_, password, basic := r.BasicAuth()
	if !basic {
		return false, statuspage.NoTrouble
	}
	mac := hmac.New(sha256.New, p.page.Private.Key)
	mac.Write([]byte(password))
	id := [32]byte(mac.Sum(nil))
	if s.tries.remembers(id, s.now()) {
		return true, statuspage.NoTrouble
	}
	ok, trouble := p.password(password, r, s)
	if ok {
		s.tries.remember(id, s.now())
	}
	return ok, trouble
}

// remembers says whether a Basic credential was right a short while ago: programs send
// it with each request.
func (t *tries) remembers(id [32]byte, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, known := t.known[id]
	return known && now.Sub(at) < 10*time.Minute && !now.Before(at)
}

func (t *tries) remember(id [32]byte, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxKnown {
		clear(t.known)
	}
	t.known[id] = now
}

// refuse answers who may not read the page: people by a form, programs by a question.
func (p *Statused) refuse(w http.ResponseWriter, r *http.Request, trouble statuspage.Trouble) {
	h := w.Header()
	if p.page.Private.Hash != "" && (wantsJSON(r) || wantsText(r)) {
		h.Set("WWW-Authenticate", `Basic realm="status", charset="UTF-8"`)
	}
	d := p.lock[string(trouble)+p.language(r)]
	if trouble == statuspage.TooMany {
		d.status = http.StatusTooManyRequests
		h.Set("Retry-After", strconv.Itoa(60))
	}
	d.answer(w, r)
}
