package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/netutil"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/listen"
)

// usualPanel is where the page is that breaks the shop where nothing speaks against
// it.
const usualPanel = "127.0.0.1:8090"

// Limits of the page.
const (
	maxPanelConnections = 64
	maxForm             = 4 << 10 // bytes
	panelGrace          = time.Second
)

// listenPanel opens the page's address. The page asks nobody who they are, so it is
// for this machine alone.
func listenPanel(o Options) (*net.TCPListener, error) {
	if o.Panel == "" {
		if !anyPort(o.HTTP) {
			l, err := handover.ListenTCP("--panel", usualPanel)
			if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
				return l, err
			}
		}
		return handover.ListenTCP("--panel", "127.0.0.1:0")
	}
	if host, _, err := net.SplitHostPort(o.Panel); err == nil && !isHere(host) {
		return nil, fault.New(fault.Invalid, "whoever reaches this page can break the shop").At("--panel "+o.Panel).
			WithHint("give an address that only this machine reaches, such as %s", usualPanel)
	}
	return handover.ListenTCP("--panel", o.Panel)
}

// isHere says whether a host is this machine's own: an address of its loopback
// network, or localhost.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// openPanel serves the page that breaks the shop, until ctx ends.
func (b *boat) openPanel(ctx context.Context, l net.Listener) {
	page := &breakPage{
		now: b.o.Now, logger: slog.New(slog.NewTextHandler(b.log, nil)), hurt: b.hurt, act: b.act, repair: b.repair, look: b.condition,
		shop: "http://" + net.JoinHostPort(mainIP, strconv.Itoa(b.set.Port)) + "/", lifeboat: "http://" + b.at.HTTP + "/",
	}
	srv := &http.Server{
		Handler: page.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: askTime + 10*time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: slog.NewLogLogger(page.logger.Handler(), slog.LevelDebug),
	}
	if err := listen.HTTP(ctx, netutil.LimitListener(l, maxPanelConnections), srv, panelGrace); err != nil {
		page.logger.Error("the page that breaks the shop has ended", "cause", err)
	}
}

// choice is one button of the page.
type choice struct {
	Path  string // where its form leads
	Title string
	Means string // what visitors will meet, or what it does
	First string // which first move fits, or against what it helps
}

// ways are the buttons that break something; each has a name of package shop.
var ways = []choice{
	{string(shop.Kill), "Kill the shop", "Its process ends at once. Visitors' connections are refused.",
		"Send visitors to the backup: the same shop runs there."},
	{string(shop.Hang), "Let it hang", "It takes every connection and never answers. Visitors wait until they give up.",
		"Send visitors to the backup: the same shop runs there."},
	{string(shop.BadRelease), "Put a bad release out", "Release 413 replaces 412 at main. Every page is an error.",
		"Send visitors to the backup: it still runs release 412."},
	{string(shop.LeakyRelease), "Put a leaking release out", "Release 415 replaces 412 at main. It is well for about 40 requests, then visitors wait and are told that nobody is free.",
		"Send visitors to the backup: it still runs release 412."},
	{string(shop.PoisonRow), "Poison one row", "A product comes in whose price is no number. The home page and its shelf are errors; other pages work.",
		"Show visitors the status page. The backup reads the same books, so it does not help."},
	{string(shop.SlowDependency), "Slow the stock service down", "It takes four seconds to answer. Baskets and the checkout wait for it, then every page does: all workers wait.",
		"Close the checkout: then nobody asks the stock service, and the other pages are quick again."},
	{string(shop.FullDisk), "Fill the disk", "Nothing can be written. Visitors can look, and no order is taken.",
		"Close the checkout, and visitors know. The backup writes into the same books, so it does not help."},
	{string(shop.Flaky), "Lock the books for ten seconds", "A job holds the books. Orders wait and fail, and pages become slow. Then it goes away by itself.",
		"Look before you press: it may be over by then."},
}

// remedies are the buttons that may help.
var remedies = []choice{
	{string(shop.Restart), "Restart the shop", "The process starts anew: the same release, the same books.",
		"Helps when it was killed or hangs. A bad release and whatever is in the books outlive it."},
	{string(shop.RollBack), "Roll back", "Release 412 is put back.", "Helps against a bad release, and against nothing else."},
	{string(shop.RollBackBadly), "Roll back to a release that only looks well", "Release 415 is put in. Its checks pass for about 40 requests, then it fails again.",
		"Helps against nothing: it is here to see a return that fails."},
	{string(shop.RepairRow), "Repair the row", "The product that can’t be read is taken out, and no other.", "Helps against the poisoned row."},
	{string(shop.SpeedUp), "Speed the stock service up", "It answers at once again.", "Helps when it was slow."},
	{string(shop.FreeDisk), "Free the disk", "The export that fills it is deleted.", "Helps when the disk is full."},
}

// wrongWords are what the state says of each way.
var wrongWords = map[shop.Harm]string{
	shop.Kill:           "The shop's process does not run.",
	shop.Hang:           "The shop takes connections and never answers.",
	shop.BadRelease:     "Release 413 runs at main: every page is an error.",
	shop.LeakyRelease:   "Release 415 runs at main: it loses workers as it goes.",
	shop.PoisonRow:      "A product in the books can’t be read.",
	shop.SlowDependency: "The stock service is slow.",
	shop.FullDisk:       "The disk is full: nothing can be written.",
	shop.Flaky:          "A job locks the books.",
}

//go:embed breakpage.html
var breakPageText string

//go:embed breakpage.css
var breakPageStyle string

var (
	breakPageTemplate = template.Must(template.New("breakpage").Parse(breakPageText))
	breakPageCSP      = "default-src 'none'; style-src 'sha256-" + sum(breakPageStyle) + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(s[:])
}

// breakPage is the page from which a person breaks the sample shop. It is for people
// at this machine; it works without JavaScript.
type breakPage struct {
	now            func() time.Time
	logger         *slog.Logger
	hurt           func(ctx context.Context, how string) error
	act            func(ctx context.Context, act string) (string, error)
	repair         func(ctx context.Context) error
	look           func(ctx context.Context) Condition
	shop, lifeboat string // where to look next

	mu   sync.Mutex // guards last
	last outcome
}

// outcome is what came of the last press.
type outcome struct {
	Time, Text, Next string
	Failed           bool
}

func (p *breakPage) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("POST /break/{how}", p.press(func(r *http.Request) (string, error) {
		how := r.PathValue("how")
		return "Done: " + titleOf(ways, how) + ".", p.hurt(r.Context(), how)
	}))
	mux.HandleFunc("POST /do/{act}", p.press(func(r *http.Request) (string, error) { return p.act(r.Context(), r.PathValue("act")) }))
	mux.HandleFunc("POST /repair", p.press(func(r *http.Request) (string, error) { return "Everything was put right.", p.repair(r.Context()) }))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { // the address of a form, opened anew
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Another site sent this. Nothing was done. Press the button on the page itself.", http.StatusForbidden)
	}))
	return panelHeaders(onlyHere(foreign.Handler(http.MaxBytesHandler(mux, maxForm))))
}

// panelHeaders puts what every answer carries.
func panelHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", breakPageCSP)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// onlyHere refuses names that are not this machine's own: another site could give its
// name our address, and a browser would then take its forms for ours.
func onlyHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !isHere(host) {
			http.Error(w, "This page answers only at the address of this machine, such as http://127.0.0.1/.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// press makes a handler of one button; what came of it is told on the page that
// follows.
func (p *breakPage) press(do func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := do(r)
		o := outcome{Time: p.now().Format(time.TimeOnly), Text: text}
		if err != nil {
			o.Failed = true
			o.Text, o.Next = sentences(err)
		}
		p.mu.Lock()
		p.last = o
		p.mu.Unlock()
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// sentences are an error as a person reads it, and what to do next.
func sentences(err error) (what, next string) {
	var f *fault.Error
	if errors.As(err, &f) {
		what, next = (&fault.Error{Text: f.Text, Cause: f.Cause}).Error(), f.Hint
	} else {
		what = err.Error()
	}
	return sentence(what), sentence(next)
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[n:], ".") + "."
}

func titleOf(list []choice, path string) string {
	for _, c := range list {
		if c.Path == path {
			return strings.ToLower(c.Title[:1]) + c.Title[1:]
		}
	}
	return path
}

// show renders the page.
func (p *breakPage) show(w http.ResponseWriter, r *http.Request) {
	now := p.look(r.Context())
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	var wrong []string
	for _, h := range now.Broken {
		wrong = append(wrong, wrongWords[h])
	}
	var b bytes.Buffer
	err := breakPageTemplate.Execute(&b, struct {
		Style          template.CSS
		Time           string
		Now            Condition
		Wrong          []string
		Last           outcome
		Ways, Remedies []choice
		Shop, Lifeboat string
	}{template.CSS(breakPageStyle), p.now().Format(time.TimeOnly), now, wrong, last, ways, remedies, p.shop, p.lifeboat})
	if err != nil {
		p.logger.Error("the page that breaks the shop could not be rendered", "cause", err)
		http.Error(w, "This page could not be made. Commands still work: lifeboat demo break kill", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // a reader that has gone away misses nothing
}
