package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// Trouble is what is wrong with a certificate that is held or should be.
type Trouble struct {
	About string `json:"about" doc:"the site, the file or the import"`
	Text  string `json:"text"`
	Next  string `json:"next,omitempty"`
}

// job is one certificate that the authority is asked for.
type job struct {
	id    string // ID.KIND
	site  string
	kind  string
	names []string
}

// jobs are what the authority is asked for: what is wanted, without names that somebody
// else keeps a certificate for. One that is allowed to run out counts no more from a
// quarter of its time on, so that there is another one before it ends.
func (k *Keeper) jobs() []job {
	if k.issuer == nil || k.o.Ready != nil && !k.o.Ready() {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.o.Now()
	var out []job
	for _, w := range k.o.Wanted {
		names := slices.DeleteFunc(slices.Clone(w.Names), func(name string) bool {
			return slices.ContainsFunc(k.held, func(h Held) bool {
				return h.Source != FromAuthority && h.covers(name) && !h.below(warnLeft, now)
			})
		})
		if len(names) == 0 {
			continue
		}
		for _, kind := range k.o.Authority.Keys {
			out = append(out, job{w.ID + "." + kind, w.ID, kind, names})
		}
	}
	return out
}

// current is the certificate of a job; false where there is none yet.
func (k *Keeper) current(id string) (Held, bool) { // with mu held
	for _, h := range k.held {
		if h.Source == FromAuthority && h.ID == id {
			return h, true
		}
	}
	return Held{}, false
}

// due says why a certificate is to be made now; "" where it is not.
func (k *Keeper) due(j job) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, it := k.o.Now(), k.state.Items[j.id]
	if now.Before(it.NextTry) && now.After(it.LastTry.Add(-time.Minute)) { // a clock that was set back holds nothing up
		return ""
	}
	h, have := k.current(j.id)
	switch known := it.Serial == h.Serial && !it.Selected.IsZero(); {
	case !have:
		return "there is none"
	case it.Directory != "" && it.Directory != k.o.Authority.Directory:
		return "another authority is configured"
	case !h.coversAll(j.names):
		return "names were added"
	case known && !now.Before(it.Selected):
		return "the authority asks for it"
	case !known && h.below(renewLeft, now):
		return "a third of its time is left"
	case h.below(warnLeft, now):
		return "a quarter of its time is left"
	}
	return ""
}

// Waits between two questions about when to renew (RFC 9773 section 4.3).
const (
	leastAgain = time.Hour
	mostAgain  = 24 * time.Hour
	afterError = 6 * time.Hour
)

// refreshWindow asks the authority when it wants a certificate renewed.
func (k *Keeper) refreshWindow(ctx context.Context, j job) {
	k.mu.Lock()
	h, have := k.current(j.id)
	it, now := k.state.Items[j.id], k.o.Now()
	k.mu.Unlock()
	if !have || it.Directory != k.o.Authority.Directory || it.Serial == h.Serial && now.Before(it.AskAgain) {
		return
	}
	window, err := k.issuer.window(ctx, h.leaf)
	k.update(j.id, func(it *item) {
		if it.Serial != h.Serial {
			it.Serial, it.Selected, it.Explained = h.Serial, time.Time{}, ""
		}
		if err != nil { // then a third counts
			it.AskAgain = now.Add(afterError)
			return
		}
		again := mostAgain
		if window.RetryAfter != nil {
			again = min(max(time.Until(*window.RetryAfter), leastAgain), mostAgain)
		}
		it.AskAgain, it.Explained = now.Add(again), window.ExplanationURL
		if it.Selected.Before(window.SuggestedWindow.Start) || it.Selected.After(window.SuggestedWindow.End) {
			it.Selected = window.SelectedTime
		}
	})
}

// update changes what is remembered of a certificate, and writes it down.
func (k *Keeper) update(id string, f func(it *item)) {
	k.mu.Lock()
	it := k.state.Items[id]
	f(&it)
	k.state.Items[id] = it
	s := state{Items: maps.Clone(k.state.Items)}
	k.mu.Unlock()
	if err := k.folder.writeState(s); err != nil {
		k.o.Logger.Warn("what is known of renewals could not be written down", "cause", err)
	}
}

// renew has a certificate made, and keeps it.
func (k *Keeper) renew(ctx context.Context, j job, why string) {
	log := k.o.Logger.With("certificate", j.id)
	log.Info("a certificate is asked for", "why", why, "names", strings.Join(j.names, " "))
	k.mu.Lock()
	h, have := k.current(j.id)
	it, now := k.state.Items[j.id], k.o.Now()
	k.mu.Unlock()
	names, left := k.provable(ctx, j.names)
	var c snapshot.Certificate
	err := error(fault.New(fault.NotFound, "none of the names can be proved: %s", strings.Join(left, "; ")))
	if len(names) > 0 {
		c, names, left, err = k.make(ctx, j, names, left, it, h, have)
	}
	if ctx.Err() != nil { // control stops
		return
	}
	if err == nil {
		if err = k.folder.keep(j.id, c, now); err != nil {
			err = fault.New(fault.Unavailable, "the new certificate can't be kept on disk").Because(err).WithHint("make room in lifeboat's data folder")
		}
	}
	if err != nil {
		k.failed(j, h, have, err)
		return
	}
	k.update(j.id, func(it *item) {
		*it = item{Directory: k.o.Authority.Directory, LastTry: now, Left: left}
		if len(left) > 0 {
			it.Failures, it.Since, it.NextTry, it.LastError = 1, now, now.Add(lastGap), "without some names: "+strings.Join(left, "; ")
		}
	})
	k.reload(false)
	log.Info("a certificate was made", "names", strings.Join(names, " "))
}

// provable splits names into those that a proof can be put for, and what keeps the
// others from it.
func (k *Keeper) provable(ctx context.Context, names []string) (can, left []string) {
	for _, name := range names {
		var last error
		for _, s := range k.o.Solvers {
			if last = s.Check(ctx, name); last == nil {
				break
			}
		}
		if last != nil {
			left = append(left, name+": "+plain(last))
			continue
		}
		can = append(can, name)
	}
	return can, left
}

// plain is an error's own words, without those of its causes.
func plain(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Error()
	}
	return cut(err.Error())
}

// make asks the authority. Where it will not take some of the names, the others go
// without them: at once when there is nothing for them yet or little time is left, for a
// whole certificate later is better than half a one now.
func (k *Keeper) make(ctx context.Context, j job, names, left []string, it item, h Held, have bool) (snapshot.Certificate, []string, []string, error) {
	for try := 0; ; try++ {
		replaces := h.leaf
		if !have || it.Directory != k.o.Authority.Directory || it.Failures%2 == 1 { // it may be what the authority dislikes
			replaces = nil
		}
		c, err := k.issuer.obtain(ctx, names, j.kind, replaces)
		if err == nil || try > 2 || ctx.Err() != nil {
			return c, names, left, err
		}
		text, _, refused := trouble(err)
		rest := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return slices.Contains(refused, strings.TrimPrefix(name, "*.")) || slices.Contains(refused, name)
		})
		needed := !have || h.below(warnLeft, k.o.Now()) || !h.coversAll(rest)
		if len(rest) == 0 || len(rest) == len(names) || !needed {
			return c, names, left, err
		}
		for _, name := range names {
			if !slices.Contains(rest, name) {
				left = append(left, name+": "+text)
			}
		}
		names = rest
	}
}

// The gaps between tries that fail. An authority counts failures, too: Let's Encrypt
// takes five an hour for a name.
var gaps = []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, lastGap}

const lastGap = 12 * time.Hour

// failed notes that a certificate could not be made. What is held goes on being served.
func (k *Keeper) failed(j job, h Held, have bool, err error) {
	text, limited, _ := trouble(err)
	now, asked := k.o.Now(), k.issuer.waits.asked()
	var it item
	k.update(j.id, func(x *item) {
		if x.Failures++; x.Failures == 1 {
			x.Since = now
		}
		gap := gaps[min(x.Failures, len(gaps))-1]
		if have && h.Until.After(now) {
			gap = min(gap, max(h.Until.Sub(now)/pageLeft, gaps[0]))
		}
		x.LastTry, x.LastError, x.NextTry = now, text, now.Add(gap)
		if limited {
			x.NextTry = now.Add(max(gap, gaps[2]))
		}
		if asked.After(x.NextTry) {
			x.NextTry = asked
		}
		it = *x
	})
	args := []any{"certificate", j.id, "cause", text, "failures", it.Failures, "next_try", it.NextTry.UTC()}
	switch {
	case !have:
		k.o.Logger.Error("a certificate could not be made, and there is none", args...)
	case h.below(pageLeft, now):
		k.o.Logger.Error("a certificate could not be renewed; the one that there is is served on", append(args, "until", h.Until.UTC())...)
	default:
		k.o.Logger.Warn("a certificate could not be renewed; the one that there is is served on", append(args, "until", h.Until.UTC())...)
	}
}

// reload reads what is on disk, and hands it on where it has changed.
func (k *Keeper) reload(first bool) {
	now := k.o.Now()
	var all []Held
	var problems []Trouble
	for _, id := range k.folder.ids() {
		h, err := k.folder.read(id, sourceOf(id))
		switch {
		case err != nil:
			problems = append(problems, problem(id, err))
		case k.wanted(h, true):
			all = append(all, h)
		}
	}
	for _, f := range k.o.Files {
		h, err := readPair(f)
		if before, had := k.heldFile(f.ID); err != nil && had { // its writer may be half way
			problems = append(problems, problem(f.ID, err))
			h, err = before, nil
		}
		switch {
		case err != nil:
			problems = append(problems, problem(f.ID, err))
		case !k.wanted(h, true):
			problems = append(problems, Trouble{f.ID, "the certificate in " + f.Certificate + " is for none of the names of the sites: " + list(h.Names), "Name the right file, or add the names to names: of a site."})
		default:
			all = append(all, h)
		}
	}
	order(all, now)
	for i := range all {
		if err := all[i].chain(k.o.Roots); err != nil {
			all[i].untrusted = cut(strings.TrimPrefix(err.Error(), "x509: "))
		}
	}
	k.mu.Lock()
	changed := !same(all, k.held)
	k.held, k.problems = all, problems
	if changed {
		k.lookedAt, k.handedAt = time.Time{}, now
	}
	k.mu.Unlock()
	if changed || first {
		certs := make([]snapshot.Certificate, 0, len(all))
		for _, h := range all {
			if k.wanted(h, false) {
				certs = append(certs, h.cert)
			}
		}
		k.o.Publish(certs)
	}
}

// heldFile is the certificate that a pair of files held when it was read last.
func (k *Keeper) heldFile(id string) (Held, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.held {
		if h.Source == FromFile && h.ID == id {
			return h, true
		}
	}
	return Held{}, false
}

// wanted says whether a certificate is for any name of the configuration, or for one that
// answer serves.
func (k *Keeper) wanted(h Held, here bool) bool {
	return slices.ContainsFunc(k.o.Wanted, func(w Wanted) bool { return (here || !w.Here) && slices.ContainsFunc(w.Names, h.covers) })
}

func problem(about string, err error) Trouble {
	p := Trouble{About: about, Text: err.Error()}
	var f *fault.Error
	if errors.As(err, &f) && f.Hint != "" {
		bare := *f
		bare.Hint = ""
		p.Text, p.Next = bare.Error(), f.Hint
	}
	return p
}

// readPair reads a certificate that somebody else keeps up to date. While it is being
// written its two files may not fit: then it is read again soon.
func readPair(f File) (Held, error) {
	cert, err := readFile(f.Certificate)
	if err != nil {
		return Held{}, fault.New(fault.Invalid, "the certificate can't be read").At(f.Certificate).Because(errors.Unwrap(err)).WithHint("name a PEM file that lifeboat may read")
	}
	key, err := readFile(f.Key)
	if err != nil {
		return Held{}, fault.New(fault.Invalid, "the key can't be read").At(f.Key).Because(errors.Unwrap(err)).WithHint("name a PEM file that lifeboat may read and others may not")
	}
	c, notes, err := Read(cert, key, f.Certificate, f.Key)
	if err != nil {
		return Held{}, err
	}
	return hold(f.ID, FromFile, c, notes)
}

// CheckFile reads a certificate that somebody else keeps up to date, and says what a
// person should know of it although it can be served: for the check of a configuration.
func CheckFile(f File, wanted []Wanted, now time.Time) (notes []string, err error) {
	h, err := readPair(f)
	if err != nil {
		return nil, err
	}
	notes = append(notes, h.Notes...)
	k := &Keeper{o: Options{Wanted: wanted}}
	if !k.wanted(h, true) {
		notes = append(notes, "it is for none of the names of the sites of scheme https: "+list(h.Names))
	}
	switch why := Over(h.From, h.Until, now); {
	case why != "":
		notes = append(notes, why)
	case h.below(warnLeft, now):
		notes = append(notes, "it is good for "+span(h.Until.Sub(now))+" more, less than a quarter of its time")
	}
	return notes, nil
}

// How often people are told again of the same thing.
const (
	warnEvery = 24 * time.Hour
	pageEvery = 12 * time.Hour

	manyFailures = 6 // in a row: then people are told although there is time
)

// alarm tells of what runs out: ever louder, the less is left.
func (k *Keeper) alarm() {
	now := k.o.Now()
	for _, w := range k.o.Wanted {
		for _, name := range w.Names {
			k.alarmFor(w.ID, name, now)
		}
	}
}

func (k *Keeper) alarmFor(site, name string, now time.Time) {
	k.mu.Lock()
	h := k.serving(name)
	it := k.failing(site)
	k.mu.Unlock()
	because := ""
	if it.LastError != "" {
		because = " Renewing it failed " + times(it.Failures) + ": " + it.LastError
	}
	switch {
	case h == nil && it.Failures >= manyFailures:
		k.tell("page", name, fmt.Sprintf("There is no certificate for %s.%s", name, because), now)
	case h == nil:
	case h.below(pageLeft, now):
		k.tell("page", name, fmt.Sprintf("The certificate for %s ends %s.%s", name, h.Until.UTC().Format("2 January 2006 15:04 UTC"), because), now)
	case it.Failures >= manyFailures && h.below(renewLeft, now):
		k.tell("page", name, fmt.Sprintf("The certificate for %s ends %s.%s", name, h.Until.UTC().Format("2 January 2006 15:04 UTC"), because), now)
	case h.below(warnLeft, now):
		k.tell("warn", name, fmt.Sprintf("The certificate for %s ends %s.%s", name, h.Until.UTC().Format("2 January 2006 15:04 UTC"), because), now)
	}
}

// tell tells of something once in a while.
func (k *Keeper) tell(how, name, text string, now time.Time) {
	every := warnEvery
	if how == "page" {
		every = pageEvery
	}
	k.mu.Lock()
	last, told := k.paged[how+" "+name]
	again := !told || now.Sub(last) >= every || now.Before(last)
	if again {
		k.paged[how+" "+name] = now
	}
	k.mu.Unlock()
	switch {
	case !again:
	case how == "page":
		k.o.Logger.Error("a certificate needs somebody today", "name", name, "text", text)
		if k.o.Page != nil {
			k.o.Page(name, text)
		}
	default:
		k.o.Logger.Warn("a certificate should have been renewed", "name", name, "text", text)
	}
}

// Pair is the certificate for a name that is served by this process itself, with its
// key; nil where there is none that is good now.
func (k *Keeper) Pair(name string) *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.serving(name)
	if h == nil || !h.Until.After(k.o.Now()) {
		return nil
	}
	_, key, err := h.cert.Open()
	if err != nil {
		return nil
	}
	return &tls.Certificate{Certificate: h.cert.Chain, PrivateKey: key, Leaf: h.leaf}
}

// serving is the certificate that answer takes for a name; nil where there is none.
func (k *Keeper) serving(name string) *Held { // with mu held
	for i := range k.held {
		if k.held[i].covers(name) {
			return &k.held[i]
		}
	}
	return nil
}

// failing is the worst of what is remembered of a site's certificates.
func (k *Keeper) failing(site string) (worst item) { // with mu held
	for id, it := range k.state.Items {
		if strings.HasPrefix(id, site+".") && it.Failures > worst.Failures {
			worst = it
		}
	}
	return worst
}

// request is a person who asks for certificates now.
type request struct {
	name string // the site, or one of its names
	done chan struct{}
}

// asksFor says whether a job is meant.
func (r request) asksFor(j job) bool { return j.site == r.name || slices.Contains(j.names, r.name) }

// renewTime is how long a person waits for an authority before they are told to look
// later.
const renewTime = 40 * time.Second

// Renew has Run make the certificates of a site now, whatever was tried before, and
// waits for what comes of it.
func (k *Keeper) Renew(ctx context.Context, name string) error {
	if k.issuer == nil {
		return fault.New(fault.NotSupported, "no authority is configured").WithHint("add certificates: {ca: letsencrypt, agree: true} to the configuration, or bring a certificate: lifeboat certs import")
	}
	if k.o.Ready != nil && !k.o.Ready() {
		return fault.New(fault.Unavailable, "the answer process is not connected, so no proof can be given out").WithHint("see: lifeboat answer status")
	}
	r := request{name, make(chan struct{})}
	jobs := slices.DeleteFunc(k.jobs(), func(j job) bool { return !r.asksFor(j) })
	if len(jobs) == 0 {
		return fault.New(fault.NotFound, "the authority is asked for no certificate of %q", name).WithHint("name a site of scheme https, or one of its names; see: lifeboat certs")
	}
	k.mu.Lock()
	k.requests = append(k.requests, r)
	k.mu.Unlock()
	k.Wake()
	late := time.NewTimer(renewTime)
	defer late.Stop()
	select {
	case <-r.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return fault.New(fault.Unavailable, "the authority has not answered yet").WithHint("it goes on; see in a while: lifeboat certs")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, j := range jobs {
		if it := k.state.Items[j.id]; it.LastError != "" {
			return fault.New(fault.Unavailable, "%s", it.LastError).At(j.id).WithHint("what is held is served on; see: lifeboat certs")
		}
	}
	return nil
}

// asked are the people who wait, taken once.
func (k *Keeper) asked() []request {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.requests
	k.requests = nil
	return out
}

// Import keeps a certificate that a person brings: the text of PEM files.
func (k *Keeper) Import(certificate, key []byte) (Held, error) {
	const certPlace, keyPlace = "the certificate", "the key"
	c, notes, err := Read(certificate, key, certPlace, keyPlace)
	if err != nil {
		return Held{}, err
	}
	h, err := hold("", FromImport, c, notes)
	if err != nil {
		return Held{}, err
	}
	if why := Over(h.From, h.Until, k.o.Now()); why != "" {
		return Held{}, fault.New(fault.Invalid, "the certificate can't be used: %s", why).At(certPlace).WithHint("bring one that is good today")
	}
	if !k.wanted(h, true) {
		return Held{}, fault.New(fault.Invalid, "the certificate is for none of the names of the sites: %s", list(h.Names)).At(certPlace).WithHint("add the names to names: of a site of scheme https first")
	}
	h.ID = imported + strings.ReplaceAll(h.Names[0], "*", "_") + "." + h.Kind
	k.tending.Lock()
	defer k.tending.Unlock()
	if err := snapshot.WriteFile(k.folder.pem(h.ID), pemOf(c)); err != nil {
		return Held{}, fault.New(fault.Unavailable, "keep the certificate").Because(err)
	}
	k.reload(false)
	k.o.Logger.Info("a certificate was imported", "certificate", h.ID, "until", h.Until)
	k.lookSoon()
	return h, nil
}

// Forget takes a certificate away that a person brought.
func (k *Keeper) Forget(id string) error {
	k.tending.Lock()
	defer k.tending.Unlock()
	if sourceOf(id) != FromImport || !slices.Contains(k.folder.ids(), id) {
		return fault.New(fault.NotFound, "there is no imported certificate %q", id).WithHint("see them with: lifeboat certs")
	}
	if err := k.folder.remove(id); err != nil {
		return fault.New(fault.Unavailable, "take the certificate away").Because(err)
	}
	k.reload(false)
	k.lookSoon()
	return nil
}
