package engine

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/evidence"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// What is collected when an incident is declared: what answer sees from outside, what
// the logs say, what was changed before. All of it runs beside the press and is never
// waited for.

// MaxFile is the largest file that a person may add as evidence, in bytes.
const MaxFile = 10 << 20

// diskTime is how long a log file, the folder of bodies and the ledger are waited for.
const diskTime = 10 * time.Second

// maxWriting is how many bodies are written at once; more wait, and hang with the disk.
const maxWriting = 4

// capturer asks from outside; a feed that can't is one to an older answer.
type capturer interface {
	Capture(ctx context.Context, j capture.Job) error
}

// collect starts everything that is collected for an incident, once.
func (r *runner) collect(id string) { // with mu held
	if r.asked == id {
		return
	}
	began := r.e.later("collect evidence", func(ctx context.Context) {
		r.lookOutside(ctx, id)
		r.lookBack(ctx, id)
		r.readLogs(ctx, id)
	})
	if began {
		r.asked = id
	}
}

// collectAgain collects how things look now that what was thought to be over is not.
func (r *runner) collectAgain(id string) { // with mu held
	r.e.later("collect evidence again", func(ctx context.Context) {
		r.lookOutside(ctx, id)
		r.readLogs(ctx, id)
	})
}

// lookOutside has answer ask from outside; that it could not is on record, too.
func (r *runner) lookOutside(ctx context.Context, id string) {
	if err := r.e.capture(ctx, r, id); err != nil {
		r.record(ctx, id, incident.Captured{Evidence: incident.Evidence{
			Kind: "dns", Title: "What the site looks like from outside", At: r.e.o.Now().UTC(), Collector: "answer", Problem: err.Error(),
		}})
	}
}

// record runs a command of lifeboat's own in an incident, if it still is the open one.
func (r *runner) record(ctx context.Context, id string, c incident.Command) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.in.ID != id || !r.in.Phase.Open() {
		return
	}
	r.try(ctx, c, incident.Actor{Kind: "collector", Name: "lifeboat"})
}

// Capture asks for fresh evidence from outside and from the logs, by a person's wish.
func (e *Engine) Capture(ctx context.Context, site string) error {
	r, known := e.runners[site]
	if !known || r.site().Shadow != "" {
		return fault.New(fault.NotFound, "there is no site %q", site).WithHint("see them with: lifeboat status")
	}
	in, _ := r.look()
	if !in.Phase.Open() {
		return fault.New(fault.NotFound, "there is no open incident that evidence would belong to").WithHint("declare one with: lifeboat declare %s", site)
	}
	if err := e.capture(ctx, r, in.ID); err != nil {
		return err
	}
	e.later("read logs", func(ctx context.Context) { r.readLogs(ctx, in.ID) })
	return nil
}

func (e *Engine) capture(ctx context.Context, r *runner, id string) error {
	asks, can := e.getFeed().(capturer)
	if !can {
		return fault.New(fault.NotSupported, "answer can't capture evidence")
	}
	return asks.Capture(ctx, e.captureJob(r, id))
}

// captureJob says what is to be asked from outside.
func (e *Engine) captureJob(r *runner, id string) capture.Job {
	cfg, _ := e.site(r.id)
	s := r.site()
	j := capture.Job{ID: e.o.NewID(), Incident: id, Site: r.id, Names: s.Names, Scheme: cfg.Scheme, Port: cfg.Port, Paths: cfg.Capture.Paths}
	for _, p := range s.Places {
		if p == snapshot.Standby { // its own check looks at it; what broke is not there
			continue
		}
		place := capture.Place{Name: p}
		for _, t := range s.Targets(p) {
			if ip, err := netip.ParseAddr(t.Address); err == nil {
				place.Addresses = append(place.Addresses, ip)
			}
		}
		if len(place.Addresses) > 0 {
			j.Places = append(j.Places, place)
		}
	}
	for _, n := range e.o.Config.Nameservers {
		j.Nameservers = append(j.Nameservers, capture.Server{Name: n.Name, Address: n.Address})
	}
	for _, n := range e.o.Config.Resolvers {
		j.Resolvers = append(j.Resolvers, capture.Server{Name: n.Name, Address: n.Address})
	}
	j.Names = j.Names[:min(len(j.Names), capture.MaxNames)] // what does not fit is looked at by hand
	j.Places = j.Places[:min(len(j.Places), capture.MaxPlaces)]
	j.Nameservers = j.Nameservers[:min(len(j.Nameservers), capture.MaxServers/2)]
	j.Resolvers = j.Resolvers[:min(len(j.Resolvers), capture.MaxServers/2)]
	if m := cfg.Capture.Metrics; m != nil {
		j.Metrics = &capture.Metrics{Path: m.Path, Port: m.Port}
	}
	return j
}

// Captured takes one item of a capture: its body is kept first, then the item is put
// on record. It implements publish's handler of captures.
func (e *Engine) Captured(ctx context.Context, i capture.Item) {
	r, known := e.runners[i.Site]
	if !known {
		return
	}
	r.keep(ctx, i, "answer")
}

// CaptureDone says that a capture has ended; only what went wrong is worth a line.
func (e *Engine) CaptureDone(ctx context.Context, d capture.Done) {
	r, known := e.runners[d.Site]
	if !known || d.Problem == "" && d.Lost == 0 {
		return
	}
	problem := d.Problem
	if d.Lost > 0 {
		problem = strings.TrimSpace(problem + " some of it was lost on the way")
	}
	r.record(ctx, d.Incident, incident.Captured{Evidence: incident.Evidence{
		Kind: "file", Title: "The capture from outside did not come to its end", At: e.o.Now().UTC(), Collector: "answer", Problem: problem,
	}})
}

// keep stores an item's body and puts it on record, unless its incident has ended.
func (r *runner) keep(ctx context.Context, i capture.Item, collector string) {
	in, _ := r.look()
	if in.ID != i.Incident || !in.Phase.Open() {
		return
	}
	if _, err := in.Decide(incident.Captured{}, incident.Facts{}, r.e.o.Now()); err != nil {
		return // there is no room for more, so nothing is kept on the disk either
	}
	x := incident.Evidence{
		Kind: i.Kind, Title: clip(i.Title, 300), Summary: clip(i.Summary, 1000), Deciding: clip(i.Deciding, 300), Source: clip(i.Source, 200), Collector: collector,
		At: i.At.UTC(), TookMS: i.Took.Milliseconds(), Truncated: i.Truncated, Problem: clip(i.Problem, 1000),
	}
	if len(i.Body) > 0 {
		blob, err := r.e.write(ctx, i.Body)
		if err != nil {
			x.Problem = strings.TrimSpace(x.Problem + " its body was not kept: " + err.Error())
		} else {
			x.SHA256, x.Size = blob.SHA256, blob.Size
			x.Type, _, _ = evidence.Kind(i.Body[:min(evidence.HeadSize, len(i.Body))], "", i.Type)
		}
	}
	r.record(ctx, i.Incident, incident.Captured{Evidence: x})
}

// write keeps a body that came by itself: nobody waits for a disk that hangs.
func (e *Engine) write(ctx context.Context, body []byte) (evidence.Blob, error) {
	type written struct {
		blob evidence.Blob
		err  error
	}
	slow := written{err: fault.New(fault.Unavailable, "the disk takes too long")}
	select {
	case e.writing <- struct{}{}:
	default: // all hang already
		return slow.blob, slow.err
	}
	w, done := aside(ctx, func() (w written) {
		defer func() { <-e.writing }()
		w.blob, w.err = e.store(bytes.NewReader(body), capture.MaxBody)
		return w
	})
	if !done {
		w = slow
	}
	return w.blob, w.err
}

func (e *Engine) store(body io.Reader, most int64) (evidence.Blob, error) {
	if e.o.Company.Bodies == nil {
		return evidence.Blob{}, fault.New(fault.Unavailable, "there is no folder for evidence").WithHint("write a note; why there is no folder is in lifeboat's log")
	}
	return e.o.Company.Bodies.Put(body, most)
}

// readLogs takes the end of each log file that the configuration names.
func (r *runner) readLogs(ctx context.Context, id string) {
	cfg, _ := r.e.site(r.id)
	if r.e.o.Company.Tail == nil {
		return
	}
	for _, path := range cfg.Capture.Logs {
		i := r.e.tail(ctx, path)
		i.Incident, i.Site = id, r.id
		r.keep(ctx, i, "control")
	}
}

// tail takes the end of a log file. While a reading of it hangs it is not read again.
func (e *Engine) tail(ctx context.Context, path string) capture.Item {
	late := capture.Item{Kind: capture.KindLog, Source: path, Title: "The end of the log " + filepath.Base(path), At: e.o.Now(), Problem: "the file could not be read in time"}
	if _, busy := e.tails.LoadOrStore(path, true); busy {
		return late
	}
	i, done := aside(ctx, func() capture.Item {
		defer e.tails.Delete(path)
		return e.o.Company.Tail(path, capture.MaxBody)
	})
	if !done {
		return late
	}
	return i
}

// aside does what a disk that hangs would hold up, and waits for it no longer than
// diskTime; done says whether it came to its end. What hangs goes on until the disk
// answers.
func aside[T any](ctx context.Context, f func() T) (v T, done bool) {
	got := make(chan T, 1)
	go func() { got <- f() }() // ends when the disk answers
	ctx, cancel := context.WithTimeout(ctx, diskTime)
	defer cancel()
	select {
	case v = <-got:
		return v, true
	case <-ctx.Done():
		return v, false
	}
}

// lookBack puts the changes before the first symptom on record, and what the checks
// see down now.
func (r *runner) lookBack(ctx context.Context, id string) {
	r.seeNow(ctx, id)
	if r.e.o.Company.Ledger == nil {
		return
	}
	looking, cancel := context.WithTimeout(ctx, diskTime)
	defer cancel()
	cfg, _ := r.e.site(r.id)
	now := r.e.o.Now()
	found, err := r.e.o.Company.Ledger.List(looking, ledger.Query{Site: r.id, From: now.Add(-cfg.LookBack), To: now.Add(time.Minute), Limit: 50})
	if err != nil {
		r.e.o.Logger.Warn("the ledger of changes can't be read", "cause", err)
		return
	}
	var seen []incident.Change
	for _, c := range found {
		if c.Source == "lifeboat" && c.Ref == "incident "+id { // our own acts in this incident are in its timeline
			continue
		}
		seen = append(seen, seenChange(c))
	}
	if len(seen) > 0 {
		r.record(ctx, id, incident.SeeChanges{Changes: seen})
	}
}

func seenChange(c ledger.Change) incident.Change {
	return incident.Change{ID: c.ID, At: c.At, Kind: c.Kind, Source: c.Source, Who: c.Who, What: c.What, Ref: c.Ref}
}

// seeNow records which checks see something down at this moment, since when.
func (r *runner) seeNow(ctx context.Context, id string) {
	now := r.e.o.Now()
	for _, s := range r.e.seen.of(r.id) {
		if known(s, now) == probe.Down {
			r.record(ctx, id, incident.SeeSight{Sight: r.sight(s)})
		}
	}
}

func (r *runner) sight(s feed.Sight) incident.Sight {
	return incident.Sight{At: s.Since.UTC(), Check: s.Check, Place: s.Place, Home: s.Place == r.site().Home, Seen: string(s.Seen), Detail: clip(s.Last.Detail, 300)}
}

// seeTransition records a change of what a check sees in the open incident. A place with
// several addresses is seen down as long as one of them is.
func (r *runner) seeTransition(ctx context.Context, t probe.Transition) { // with mu held
	if !r.in.Phase.Open() || r.in.Drill || t.To != probe.Down && r.e.seen.elsewhereDown(t) {
		return
	}
	r.try(ctx, incident.SeeSight{Sight: incident.Sight{
		At: t.At.UTC(), Check: t.Check, Place: t.Target.Place, Home: t.Target.Place == r.site().Home, Seen: string(t.To), Detail: clip(t.Detail, 300),
	}}, incident.Actor{Kind: "collector", Name: "lifeboat"})
}

// AddChange writes a change into the ledger, and into the open incident of its site.
func (e *Engine) AddChange(ctx context.Context, c ledger.Change, by incident.Actor) (ledger.Change, error) {
	if e.o.Company.Ledger == nil {
		return c, fault.New(fault.Unavailable, "there is no ledger of changes")
	}
	if c.Site != "" {
		if _, known := e.runners[c.Site]; !known {
			return c, fault.New(fault.Invalid, "there is no site %q", c.Site).At("site").WithHint("leave it out where a change is for all sites")
		}
	}
	if c.Who == "" {
		c.Who = by.Name
	}
	if c.Source == "" {
		c.Source = by.Kind
	}
	if key := keyOf(ctx); c.ID == "" && key != "" {
		c.ID = keyID(key)
	}
	kept, added, err := e.o.Company.Ledger.Add(ctx, c)
	if err != nil || !added {
		return kept, err
	}
	for _, id := range e.ids {
		if c.Site != "" && c.Site != id {
			continue
		}
		if in, _ := e.runners[id].look(); in.Phase.Open() {
			e.runners[id].record(context.WithoutCancel(ctx), in.ID, incident.SeeChanges{Changes: []incident.Change{seenChange(kept)}})
		}
	}
	return kept, nil
}

// Changes lists the ledger, newest first.
func (e *Engine) Changes(ctx context.Context, q ledger.Query) ([]ledger.Change, error) {
	if e.o.Company.Ledger == nil {
		return nil, fault.New(fault.Unavailable, "there is no ledger of changes")
	}
	return e.o.Company.Ledger.List(ctx, q)
}

// noteConfiguration writes a configuration that control started with into the ledger.
func (e *Engine) noteConfiguration(ctx context.Context) {
	if e.o.Company.Ledger == nil {
		return
	}
	_, _, err := e.o.Company.Ledger.Add(ctx, ledger.Change{
		ID: "configuration-" + e.config[:16] + "-" + e.o.NewID(), At: e.o.Now().UTC(), Source: "lifeboat", Kind: "configuration", Who: "lifeboat", What: "lifeboat started with a changed configuration: " + filepath.Base(e.o.Config.File),
	})
	if err != nil {
		e.o.Logger.Warn("the changed configuration is not in the ledger", "cause", err)
	}
}

// File is a file that a person adds as evidence.
type File struct {
	Name  string // as the person calls it
	Type  string // as the browser calls it
	Title string
	Text  string
	Body  io.Reader // nil: a note without a file
}

// Attach keeps a file and puts it on record. What is no image though it is called one
// is kept as a file, and the evidence says so.
func (e *Engine) Attach(ctx context.Context, site string, f File, by incident.Actor) (Result, error) {
	x := incident.Evidence{Kind: "note", Title: f.Title, Summary: f.Text, Collector: "person", At: e.o.Now().UTC()}
	if f.Body != nil {
		if err := incident.May(incident.Attach{}, by); err != nil { // before anything is kept
			return Result{}, err
		}
		in, ok := e.openAt(site)
		if !ok {
			return Result{Incident: in}, fault.New(fault.NotFound, "there is no open incident that evidence would belong to").WithHint("declare one with: lifeboat declare %s", site)
		}
		said := x
		said.Title = cmp.Or(said.Title, "A file")
		if _, err := in.Decide(incident.Attach{Evidence: said}, incident.Facts{Actor: by}, e.o.Now()); err != nil {
			return Result{Incident: in}, err // nothing is kept of what won't be recorded
		}
		head := make([]byte, 512)
		n, err := io.ReadFull(f.Body, head)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return Result{}, fault.New(fault.Invalid, "the file did not arrive whole").Because(err).WithHint("send it again")
		}
		if n == 0 {
			return Result{}, fault.New(fault.Invalid, "the file is empty").At("file").WithHint("choose another one, or write a note")
		}
		blob, err := e.store(io.MultiReader(bytes.NewReader(head[:n]), f.Body), MaxFile)
		if err != nil {
			return Result{}, err
		}
		if blob.Truncated {
			return Result{}, fault.New(fault.Invalid, "the file has more than %d MB", MaxFile>>20).At("file").WithHint("cut it: the minutes around the first symptom are enough")
		}
		e.describe(&x, f, blob, head[:n])
	}
	return e.Do(ctx, site, incident.Attach{Evidence: x}, by)
}

func (e *Engine) describe(x *incident.Evidence, f File, blob evidence.Blob, head []byte) {
	media, image, note := e.kindOf(blob, head, f)
	x.Kind, x.Name, x.SHA256, x.Size, x.Type, x.Problem = "file", clip(f.Name, 200), blob.SHA256, blob.Size, media, note
	if image {
		x.Kind = "image"
	}
	if x.Title == "" {
		x.Title = x.Name
	}
	if x.Title == "" {
		x.Title = "A file"
	}
}

// kindOf looks at the whole of a small body, so that an image which only begins like
// one is not taken for it.
func (e *Engine) kindOf(blob evidence.Blob, head []byte, f File) (media string, image bool, note string) {
	if r, size, err := e.o.Company.Bodies.Get(blob.SHA256); err == nil {
		defer func() { _ = r.Close() }() // it was only read
		if b, err := io.ReadAll(io.LimitReader(r, min(size, MaxFile))); err == nil {
			head = b
		}
	}
	return evidence.Kind(head, f.Name, f.Type)
}

// openAt gives a site's open incident.
func (e *Engine) openAt(site string) (incident.Incident, bool) {
	r, known := e.runners[site]
	if !known {
		return incident.Incident{}, false
	}
	in, _ := r.look()
	return in, in.Phase.Open()
}

// Evidence opens the body of a piece of evidence. The caller closes it.
func (e *Engine) Evidence(ctx context.Context, id, piece string) (incident.Evidence, io.ReadSeekCloser, error) {
	in, err := e.Incident(ctx, id)
	if err != nil {
		return incident.Evidence{}, nil, err
	}
	for _, x := range in.Evidence {
		if x.ID != piece {
			continue
		}
		switch {
		case x.Redacted != "":
			return x, nil, fault.New(fault.NotFound, "the body of %s was taken away: %s", x.ID, x.Redacted)
		case x.SHA256 == "" || e.o.Company.Bodies == nil:
			return x, nil, fault.New(fault.NotFound, "%s has no body", x.ID)
		}
		body, _, err := e.o.Company.Bodies.Get(x.SHA256)
		return x, body, err
	}
	return incident.Evidence{}, nil, fault.New(fault.NotFound, "there is no evidence %q", piece).WithHint("see it with: lifeboat evidence list")
}
