package standby

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
	"lifeboat/internal/subscribe"
)

// Limits of those who want to be told of news.
const (
	maxAskForm   = 16 << 10 // bytes of a form
	maxAskFields = 2 * subscribe.MaxComponents

	beginsEach, beginsEachIn = 10, 10 * time.Minute // of one network
	beginsAll                = 60                   // a minute, of all together
	linksEach, linksEachIn   = 60, time.Minute      // of one network: a mail service ends for all its users
	linksAll                 = 600                  // a minute, of all together

	retryAsk = time.Minute // what who comes too often, or in vain, is told to wait
)

// turns say whose turn it is: so many of one network in a span, and so many of all
// together in a minute, which bounds the networks that are remembered, too.
type turns struct {
	each, all int
	in        time.Duration

	mu  sync.Mutex // guards the rest
	of  map[netip.Prefix]window
	sum window
}

// window counts since a time.
type window struct {
	since time.Time
	n     int
}

// at is the window at a time: a new one when it is over.
func (w window) at(now time.Time, span time.Duration) window {
	if now.Sub(w.since) >= span || now.Before(w.since) {
		return window{since: now}
	}
	return w
}

func newTurns(each int, in time.Duration, all int) *turns {
	return &turns{each: each, in: in, all: all, of: map[netip.Prefix]window{}}
}

// may counts, and says whether it is allowed. What is not takes nothing from the others.
func (t *turns) may(remote string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := t.sum.at(now, time.Minute)
	if sum.since != t.sum.since {
		for network, w := range t.of {
			if w.at(now, t.in).n == 0 {
				delete(t.of, network)
			}
		}
	}
	network := networkOf(remote)
	w := t.of[network].at(now, t.in)
	if w.n >= t.each || sum.n >= t.all {
		return false
	}
	w.n++
	sum.n++
	t.of[network], t.sum = w, sum
	return true
}

// place is an address at which people subscribe.
type place struct {
	tag   string // the language that it names, or ""
	link  bool   // it is a subscription's; else the one where they begin
	token string // of the link, as it came
}

// place finds it in a path; false for any other, and on pages that offer nothing.
func (p *Statused) place(path string) (at place, is bool) {
	if len(p.page.Subscribe) == 0 || !strings.HasPrefix(path, "/") {
		return at, false
	}
	if first, rest, more := strings.Cut(strings.TrimPrefix(path, "/"), "/"); more && slices.Contains(p.languages, first) {
		at.tag, path = first, "/"+rest
	}
	at.token, at.link = strings.CutPrefix(path, subscribe.Path)
	if at.link {
		at.token = strings.ToLower(strings.TrimSuffix(at.token, "/"))
		return at, true
	}
	at.token = ""
	return at, strings.TrimSuffix(path, "/") == statuspage.PathSubscribe
}

// subscribing finds who wants to be told of news, before anything of their body is read.
func (c *current) subscribing(r *http.Request) (t target, at place, is bool) {
	if c == nil || !strings.Contains(r.URL.Path, "/subscri") { // nearly always
		return t, at, false
	}
	name, ok := hostName(r.Host)
	if t = c.hosts[name]; !ok || t.host == nil || t.kind != statusHost {
		return t, at, false
	}
	at, is = t.status.place(r.URL.Path)
	return t, at, is
}

// visit is a request at such an address.
type visit struct {
	place
	*Statused
	s        *Server
	w        http.ResponseWriter
	r        *http.Request
	admitted bool // may read the page
}

// serveSubscribe answers at the addresses where people subscribe. What is known of a
// subscription is control's: it is asked each time, and waited for no longer than a moment.
func (t target) serveSubscribe(w http.ResponseWriter, r *http.Request, s *Server, at place) {
	v := &visit{place: at, Statused: t.status, s: s, w: w, r: r, admitted: true}
	trouble := statuspage.NoTrouble
	if v.page.Private != nil {
		v.admitted, trouble = v.admits(r, s)
	}
	form, status := v.read()
	h := w.Header()
	if !discard(r) || s.crowded() {
		h["Connection"] = closing
	}
	harden(h)
	h["X-Robots-Tag"], h["Vary"] = unlisted, privateVaries
	t.countStatus(r)
	switch {
	case status == http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD, POST")
		text(w, r, status, "This address can be read, and sent a form.\n")
	case !v.link && !v.admitted:
		v.refuse(w, r, trouble)
	case status == http.StatusTooManyRequests:
		v.show(v.asking(), subscribe.Told{Outcome: subscribe.Busy})
	case status != 0:
		text(w, r, status, unreadable[status])
	case v.link:
		v.serveLink(form, trouble)
	default:
		v.serveBegin(form)
	}
}

// unreadable says what is wrong with a form.
var unreadable = map[int]string{
	http.StatusRequestEntityTooLarge: "That is too long.\n",
	http.StatusUnsupportedMediaType:  "Send it as application/x-www-form-urlencoded or multipart/form-data.\n",
	http.StatusBadRequest:            "That form can't be read.\n",
	http.StatusForbidden:             "This form was not sent from this page. Open the page, and send it from there.\n",
}

var unlisted = []string{"noindex, nofollow"}

// read lets a request have its turn and reads the form that it brings; nil of one that
// brings none. A status other than 0 is what it is refused with.
func (v *visit) read() (form url.Values, status int) {
	turns := v.s.begins
	if v.link {
		turns = v.s.links
	}
	_, good := subscribe.TokenID(v.token)
	switch {
	case !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost}, v.r.Method):
		return nil, http.StatusMethodNotAllowed
	case v.link && !good, !v.link && (!v.admitted || v.r.Method != http.MethodPost): // nobody is asked for it
		return nil, 0
	case !turns.may(v.r.RemoteAddr, v.s.now()):
		return nil, http.StatusTooManyRequests
	case v.r.Method != http.MethodPost:
		return nil, 0
	}
	body, err := io.ReadAll(io.LimitReader(v.r.Body, maxAskForm+1))
	switch {
	case err != nil:
		return nil, http.StatusBadRequest
	case len(body) > maxAskForm:
		return nil, http.StatusRequestEntityTooLarge
	}
	if form, status = readForm(v.r.Header.Get("Content-Type"), string(body)); status == 0 && crossSite(v.r) && !oneClick(form) {
		return nil, http.StatusForbidden
	}
	return form, status
}

// crossSite says whether a browser sends a form of another site's page (Fetch Metadata).
func crossSite(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "cross-site" }

// readForm reads a form in either of the two ways in which browsers and mail services
// send one (RFC 8058 section 3.2); without a type it is the first.
func readForm(kind, body string) (form url.Values, status int) {
	media, params, err := mime.ParseMediaType(kind)
	switch {
	case kind == "", err == nil && media == "application/x-www-form-urlencoded":
		if form, err = url.ParseQuery(strings.TrimSpace(body)); err != nil {
			return nil, http.StatusBadRequest
		}
	case err == nil && media == "multipart/form-data" && params["boundary"] != "":
		if form, err = readParts(multipart.NewReader(strings.NewReader(body), params["boundary"])); err != nil {
			return nil, http.StatusBadRequest
		}
	default:
		return nil, http.StatusUnsupportedMediaType
	}
	n := 0
	for _, values := range form {
		n += len(values)
	}
	if n > maxAskFields {
		return nil, http.StatusRequestEntityTooLarge
	}
	return form, 0
}

// readParts reads the fields of a form in parts (RFC 7578); files are passed over.
func readParts(parts *multipart.Reader) (url.Values, error) {
	form := url.Values{}
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(part) // of a body that is bounded
		if err != nil {
			return nil, err
		}
		if name := part.FormName(); name != "" && part.FileName() == "" {
			form.Add(name, string(text))
		}
		if n > maxAskFields {
			return form, nil
		}
	}
}

// oneClick says whether a mail service ends a subscription for its user (RFC 8058).
func oneClick(form url.Values) bool {
	return strings.EqualFold(strings.TrimSpace(form.Get("List-Unsubscribe")), "One-Click")
}

// speaks is the language of an answer: the one that the address names, a subscription's
// own, or the reader's.
func (v *visit) speaks(own string) string {
	switch {
	case v.tag != "":
		return v.tag
	case slices.Contains(v.languages, own):
		return own
	}
	return v.language(v.r)
}

// asking is the Ask of an address alone.
func (v *visit) asking() subscribe.Ask {
	if v.link {
		return subscribe.Ask{Do: subscribe.Look, Page: v.page.ID, Token: v.token}
	}
	return subscribe.Ask{Do: subscribe.Begin, Page: v.page.ID, Language: v.speaks("")}
}

// ask asks control.
func (v *visit) ask(a subscribe.Ask) subscribe.Told {
	if v.s.opts.Subscribe == nil {
		return subscribe.Told{Outcome: subscribe.Away}
	}
	told := v.s.opts.Subscribe(v.r.Context(), a)
	if !slices.Contains(outcomes, told.Outcome) { // of another version
		return subscribe.Told{Outcome: subscribe.Away}
	}
	return told
}

// outcomes are what we have pages for.
var outcomes = []subscribe.Outcome{subscribe.Asked, subscribe.Open, subscribe.Confirmed, subscribe.Changed, subscribe.Ended, subscribe.Unknown, subscribe.Wrong, subscribe.Busy, subscribe.Away, subscribe.Off}

// serveBegin gives the page at which somebody begins, and takes its form.
func (v *visit) serveBegin(form url.Values) {
	if form == nil {
		v.ready[askKey("", false, v.speaks(""))].once(v.w, v.r)
		return
	}
	a := v.asking()
	a.Way, a.To, a.Components = subscribe.Way(form.Get("way")), strings.TrimSpace(form.Get("to")), form["component"]
	ways := statuspage.Ways(v.page)
	if a.Way == "" && len(ways) == 1 {
		a.Way = ways[0]
	}
	told := subscribe.Told{Outcome: subscribe.Wrong, Field: "way"}
	if slices.Contains(ways, a.Way) {
		told = subscribe.Told{Outcome: subscribe.Wrong, Field: "to"}
		if a.To != "" {
			told = v.ask(a)
		}
	}
	v.show(a, told)
}

// serveLink answers at a subscription's link. Reading it changes nothing: there are mail
// services that open all links of a message.
func (v *visit) serveLink(form url.Values, trouble statuspage.Trouble) {
	a := v.asking()
	if _, good := subscribe.TokenID(v.token); !good {
		a.Token = "" // it is no link of ours: nothing of it is shown
		v.show(a, subscribe.Told{Outcome: subscribe.Unknown})
		return
	}
	if form != nil {
		switch do := subscribe.Do(form.Get("do")); {
		case oneClick(form):
			a.Do = subscribe.End
		case do == subscribe.Change && !v.admitted: // what is not shown can't be chosen
			v.refuse(v.w, v.r, trouble)
			return
		case do == subscribe.Change:
			a.Do, a.Components, a.Language = do, form["component"], form.Get("language")
			if !slices.Contains(v.languages, a.Language) {
				a.Language = v.speaks("")
			}
		case do == subscribe.Confirm, do == subscribe.End:
			a.Do = do
		default:
			text(v.w, v.r, http.StatusBadRequest, unreadable[http.StatusBadRequest])
			return
		}
	}
	v.show(a, v.ask(a))
}

// show says what came of an Ask. What was done by a form is shown at an address that can
// be loaded again without its being done again.
func (v *visit) show(a subscribe.Ask, told subscribe.Told) {
	if told.Outcome == subscribe.Busy || told.Outcome == subscribe.Away {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(retryAsk/time.Second)))
	}
	tag, asText := v.speaks(told.Language), wantsText(v.r) || wantsJSON(v.r)
	if d, same := v.ready[askKey(told.Outcome, asText, tag)]; same {
		d.once(v.w, v.r)
		return
	}
	o := v.options
	switch done := told.Outcome; {
	case asText:
		v.send(statuspage.ToldText(v.board, tag, a, told), nil)
	case done == subscribe.Off:
		v.missing[tag].answer(v.w, v.r)
	case done == subscribe.Open:
		v.send(statuspage.Subscription(v.board, o, tag, v.token, told, v.admitted, subscribe.Outcome(v.r.URL.Query().Get("done"))))
	case done == subscribe.Confirmed, done == subscribe.Changed:
		v.w.Header().Set("Location", v.r.URL.Path+"?done="+string(done))
		text(v.w, v.r, http.StatusSeeOther, "It is done.\n")
	case a.Do == subscribe.Begin && (done == subscribe.Wrong || done == subscribe.Away):
		v.send(statuspage.Subscribe(v.board, o, tag, a, told))
	default:
		v.send(statuspage.Told(v.board, o, tag, a, told, v.admitted))
	}
}

// send sends a document that was made for this one request.
func (v *visit) send(d statuspage.Document, err error) {
	if err != nil {
		v.s.opts.Logger.Error("a page of a subscription was not made", "cause", err)
		v.w.Header().Set("Retry-After", retryAfter)
		text(v.w, v.r, http.StatusServiceUnavailable, "This can't be shown right now.\n")
		return
	}
	h := v.w.Header()
	h["Content-Type"], h["Content-Language"], h["Content-Security-Policy"] = []string{d.Type}, []string{d.Lang}, []string{d.Policy}
	h["Content-Length"] = []string{strconv.Itoa(len(d.Body))}
	v.w.WriteHeader(max(d.Status, http.StatusOK))
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(d.Body) // who has gone away is no fault of ours
	}
}

// once sends a stored document as it is now: it is not kept, and not compared with what
// somebody kept.
func (t notice) once(w http.ResponseWriter, r *http.Request) {
	for name, values := range t.more {
		w.Header()[name] = values
	}
	t.send(w, r, t.status)
}

// asks are the documents for those who subscribe that are the same for all of them: the
// page at which somebody begins, and what those are told of whom nobody is asked.
type asks map[string]statuspage.Document

// askKey names one: by what came of an Ask ("": nothing yet), form and language.
func askKey(came subscribe.Outcome, asText bool, tag string) string {
	if asText {
		return string(came) + ".txt " + tag
	}
	return string(came) + " " + tag
}

func makeAsks(b board.Board, o statuspage.Options) (asks, error) {
	a := asks{}
	if len(b.Page.Subscribe) == 0 {
		return a, nil
	}
	for _, tag := range statuspage.Offered(b.Page) {
		begin, err := statuspage.Subscribe(b, o, tag, subscribe.Ask{}, subscribe.Told{})
		if err != nil {
			return nil, err
		}
		a[askKey("", false, tag)] = begin
		for _, came := range []subscribe.Outcome{subscribe.Busy, subscribe.Unknown} {
			ask, told := subscribe.Ask{Do: subscribe.Begin}, subscribe.Told{Outcome: came}
			page, err := statuspage.Told(b, o, tag, ask, told, b.Page.Private == nil)
			if err != nil {
				return nil, err
			}
			a[askKey(came, false, tag)], a[askKey(came, true, tag)] = page, statuspage.ToldText(b, tag, ask, told)
		}
	}
	return a, nil
}
