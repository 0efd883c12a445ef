package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/board"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// act is one thing that a person can do: the words of its button, what is asked, what
// is said below, and the command that comes of it.
type act struct {
	title  string
	titled func(x scope) string
	head   func(x scope) string               // the sentence on its own page; its button's words without
	lede   func(x scope) string               // below that
	load   func(ctx context.Context, x scope) // fills x.args before its page is shown for the first time
	before func(x scope) template.HTML        // above its fields
	beside []string                           // other acts on its page, about the same thing
	need   incident.Command                   // whose role it takes
	safe   bool                               // leads to safety: nothing holds it up
	prove  bool                               // changes who may do what, or can't be taken back: who presses shows once more who they are
	least  role.Role                          // where no command says so
	fields func(x scope) []field
	more   string // what the fields are that few need
	terms  func(x scope) terms
	off    func(x scope) string // why it can't be pressed now; "" where it can
	make   func(x scope) (incident.Command, error)
	do     func(ctx context.Context, x scope) (string, error) // in place of make
	tells  func(x scope) (board.Command, error)               // what is shown beforehand as visitors will see it
	after  func(x scope) string                               // where it leads; the scope's page without
	back   func(x scope) string                               // where leaving its page leads; the scope's page without

	submits []option // several buttons in place of one
	submit  string   // their name
}

// acts are all of them. Each name is a route of a page's forms.
var acts map[string]act

func init() { // they refer to each other through pages that hold their forms
	acts = map[string]act{}
	for _, part := range []map[string]act{containActs, tellActs, causeActs, fixActs, returnActs, crewActs, evidenceActs, writeUpActs, dataActs, zoneActs, boardActs, subscriberActs, otherActs} {
		for name, a := range part {
			acts[name] = a
		}
	}
}

func (a act) words(x scope) string {
	if a.titled != nil {
		return a.titled(x)
	}
	return a.title
}

// offFor says why an act can't be pressed, the role first.
func (a act) offFor(x scope) string {
	if why := a.forbidden(x); why != "" {
		return why
	}
	if a.off != nil {
		return a.off(x)
	}
	return ""
}

func (a act) forbidden(x scope) string {
	if a.need != nil {
		if err := incident.May(a.need, x.by()); err != nil {
			return plain(err)
		}
	}
	if a.least != "" && !x.who.Role.AtLeast(a.least) {
		return fmt.Sprintf("Your role, %s, may not do this. Somebody with the role %s can.", cmp.Or(x.who.Role, role.Viewer), a.least)
	}
	return ""
}

// plain is an error as sentences.
func plain(err error) string {
	m := messageOf(err)
	return strings.TrimSpace(m.Text + " " + m.Next)
}

// newKey makes the key by which a form that is sent twice acts once.
func newKey() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// act does what a button stands for, then leads back to the page.
func (s *server) act(w http.ResponseWriter, r *http.Request, who account.Session) {
	if isUpload(r) {
		s.upload(w, r, who)
		return
	}
	s.press(w, r, who, r.PathValue("act"), r.PostForm, nil)
}

// press runs an act with what was typed; f is the file that came with it.
func (s *server) press(w http.ResponseWriter, r *http.Request, who account.Session, name string, args url.Values, f *engine.File) {
	x, err := s.scope(r.Context(), who, r.PathValue("site"), r.PathValue("id"), args)
	if err != nil {
		s.problem(w, statusOf(err), who, messageOf(err), typed(r))
		return
	}
	a, known := acts[name]
	if !known {
		s.problem(w, http.StatusNotFound, who, messageOf(fault.New(fault.NotFound, "there is no act %q", cut(name, 60))), typed(r))
		return
	}
	if !a.safe && s.brake.try(who.Who.String()) > 0 {
		w.Header().Set("Retry-After", "1")
		s.refused(w, r, x, name, fault.New(fault.Unavailable, "too much was sent from your sign-in in a short time, so this was not done").WithHint("wait a second, then send it again"))
		return
	}
	if a.prove && a.forbidden(x) == "" && !s.fresh(who) {
		s.askProof(w, r, http.StatusForbidden, who, carry(r), message{})
		return
	}
	if a.tells != nil && a.forbidden(x) == "" {
		s.tellVisitors(w, r, x, name)
		return
	}
	var secret once
	done, err := a.run(context.WithValue(expecting(r, who, args, f), onceKey{}, &secret), x)
	if err != nil {
		s.refused(w, r, x, name, err)
		return
	}
	if a.least != "" { // no incident's timeline tells of it
		about := cmp.Or(x.arg("name"), x.arg("new_name"), x.arg("lever"), x.arg("message"))
		s.o.Logger.Info("something was done by a page", "act", name, "site", x.v.ID, "about", cut(about, 64), "role", cut(x.arg("role"), 20), "by", who.Name)
	}
	if secret.code != "" {
		s.showOnce(w, x, secret.name, done, secret.code)
		return
	}
	s.back(w, r, a.leads(x), done)
}

// once is what an act gives to be shown this once, and to stand in no address.
type once struct{ name, code string }

type onceKey struct{}

// shownOnce has what an act made shown in answer to its form.
func shownOnce(ctx context.Context, name, code string) {
	if o, has := ctx.Value(onceKey{}).(*once); has {
		o.name, o.code = name, code
	}
}

type fileKey struct{}

// expecting carries what the form was made for, its key and its file along.
func expecting(r *http.Request, who account.Session, args url.Values, f *engine.File) context.Context {
	ctx := r.Context()
	if args.Get("key") != "" {
		ctx = engine.WithKey(ctx, keyOf(r, who, args, f))
	}
	if in, phase := args.Get("incident"), args.Get("phase"); in != "" || phase != "" {
		ctx = engine.WithExpect(ctx, engine.Expect{Incident: in, Phase: incident.Phase(phase)})
	}
	if f != nil {
		ctx = context.WithValue(ctx, fileKey{}, *f)
	}
	return ctx
}

// keyOf is what one press is known by: the form's key, and all that was sent with it. Who
// goes back, writes something else and sends the form again does something new; and
// nobody's press is taken for another person's. A file is told by its name and how much
// came with it: its bytes have not been read.
func keyOf(r *http.Request, who account.Session, args url.Values, f *engine.File) string {
	parts := []string{who.Who.String(), r.URL.Path, args.Encode()}
	if f != nil {
		parts = append(parts, f.Name, strconv.FormatInt(r.ContentLength, 10))
	}
	sum := sha256.New()
	for _, part := range parts { // hashed one by one: no two lists are alike
		one := sha256.Sum256([]byte(part))
		sum.Write(one[:]) // never fails
	}
	return "web-" + hex.EncodeToString(sum.Sum(nil))
}

// run gives the sentence that says what was done.
func (a act) run(ctx context.Context, x scope) (string, error) {
	if why := a.forbidden(x); why != "" && (a.need == nil || a.do != nil) { // what the engine does not look at itself
		return "", fault.New(fault.Denied, "%s", strings.TrimSuffix(why, "."))
	}
	if a.do != nil {
		return a.do(ctx, x)
	}
	c, err := a.make(x)
	if err != nil {
		return "", err
	}
	var res engine.Result
	if x.past {
		res, err = x.s.o.Engine.DoIn(ctx, x.in.ID, c, x.by())
	} else {
		res, err = x.s.o.Engine.Do(ctx, x.v.ID, c, x.by())
	}
	return done(res.Events), err
}

// done is what an act came to, as it was seen where it moved something: how visitors
// are by it is on the page itself.
func done(events []incident.Event) string {
	for _, e := range slices.Backward(events) {
		if e.Type == incident.LeverSeen {
			return e.Text
		}
	}
	return lastText(events)
}

// leads is where an act leads to.
func (a act) leads(x scope) string {
	switch {
	case a.after != nil:
		return a.after(x)
	case x.past:
		return "/incidents/" + url.PathEscape(x.in.ID)
	case x.v.ID != "":
		return "/sites/" + url.PathEscape(x.v.ID)
	}
	return "/"
}

// lastText is the last sentence that an act wrote into the timeline.
func lastText(events []incident.Event) string {
	if len(events) == 0 {
		return "It is done."
	}
	return events[len(events)-1].Text
}

// refused shows why something was not done, with all that was typed, in the form as it
// is now.
func (s *server) refused(w http.ResponseWriter, r *http.Request, x scope, name string, err error) {
	m := messageOf(err)
	if y, again := s.scope(r.Context(), x.who, r.PathValue("site"), r.PathValue("id"), x.args); again == nil {
		x = y
	}
	if name == "zone-publish" && s.planAgain(w, r, x, m, statusOf(err)) {
		return
	}
	if name == "declare" && x.open() && fault.KindOf(err) == fault.Conflict {
		s.back(w, r, acts[name].leads(x), "Somebody has called it already. This is where it stands.")
		return
	}
	if m.Kind == "stale" {
		m.Since = meanwhile(x)
	}
	s.showForm(w, statusOf(err), x, name, &m)
}

// meanwhile is the newest sentence of the timeline.
func meanwhile(x scope) string {
	if n := len(x.v.Tail); n > 0 && !x.past {
		return x.v.Tail[n-1].Text
	}
	return ""
}
