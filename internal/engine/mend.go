package engine

import (
	"context"
	"fmt"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// A fix runs beside the incident's lock, because a prepared act may take long: what
// came of it is a command like any other.

// verdicts is what each check sees at the home origin now, the worst of its addresses.
// Nobody is asked: whoever wants to get to safety may be waiting behind this.
func (r *runner) verdicts() map[string]string {
	cfg, _ := r.e.site(r.id)
	out, now := map[string]string{}, r.e.o.Now()
	for _, c := range cfg.Checks {
		out[c.Name] = string(probe.Inconclusive)
	}
	for _, s := range r.e.seen.of(cfg.ID) {
		if _, asked := out[s.Check]; !asked || s.Place != r.site().Home || out[s.Check] == string(probe.Fail) {
			continue
		}
		switch known(s, now) {
		case probe.Down:
			out[s.Check] = string(probe.Fail)
		case probe.Up:
			out[s.Check] = string(s.Last.Verdict)
		}
	}
	return out
}

// dueFix starts what a fix needs next: its act, its undo, or a look at what it promised.
func (r *runner) dueFix(now time.Time) { // with mu held
	f, flies := r.in.FixInFlight()
	if !flies {
		return
	}
	switch f.State {
	case incident.StateApplying:
		r.dueAct(f, false)
	case incident.StateRollingBack:
		r.dueAct(f, true)
	case incident.StateMeasuring:
		r.dueReading(f, now)
	}
}

// dueAct begins a fix's prepared act, or its undo, once no other act is under way: the
// one before may go on after its fix was interrupted.
func (r *runner) dueAct(f incident.Fix, undo bool) { // with mu held
	switch key := actKey(r.in, f, undo); {
	case f.Action == "" || undo && !f.Undo: // a person does it
	case r.running != "":
	case undo || r.next == key: // an undo is safe to run again
		r.startAct(f, undo)
	default: // nobody runs it: we were restarted meanwhile
		r.try(context.Background(), incident.FixCarriedOut{Detail: "lifeboat was restarted while it ran, so look before anything else is done"}, incident.Actor{Kind: "system", Name: "lifeboat"})
	}
}

// actKey names one run of an act for whoever is asked to do it.
func actKey(in incident.Incident, f incident.Fix, undo bool) string {
	key := in.ID + "-" + f.ID
	if undo {
		key += "-undo"
	}
	return key
}

// startAct runs a fix's prepared act, or its undo.
func (r *runner) startAct(f incident.Fix, undo bool) { // with mu held
	job := Job{Action: f.Action, Incident: r.in.ID, Fix: f.ID, Site: r.id, Undo: undo, Key: actKey(r.in, f, undo)}
	began := r.e.later("run "+f.Action, func(ctx context.Context) {
		ran := Ran{Detail: "this lifeboat has no actions"}
		if r.e.o.Company.Run != nil {
			ran = r.e.o.Company.Run(ctx, job)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = ""
		if r.in.ID == job.Incident && ctx.Err() == nil { // else the next start finds it begun and not ended
			r.ended(ctx, job, ran)
		}
	})
	if began {
		r.running, r.next = job.Key, ""
	}
}

// ended records what an act came to.
func (r *runner) ended(ctx context.Context, job Job, ran Ran) { // with mu held
	var c incident.Command = incident.FixCarriedOut{OK: ran.OK, Detail: ran.Detail, Output: ran.Output}
	if job.Undo {
		c = incident.FixTakenBack{OK: ran.OK, Detail: ran.Detail, Output: ran.Output}
	}
	by := incident.Actor{Kind: "system", Name: "lifeboat"}
	if f, flies := r.in.FixInFlight(); flies && f.ID == job.Fix {
		if _, err := r.do(ctx, c, by); err == nil {
			return
		}
	}
	how := "it had ended well" // a lever was pulled meanwhile, or a person has ended it
	if !ran.OK {
		how = "it had not: " + clip(ran.Detail, 1000)
	}
	r.try(ctx, incident.Note{Text: fmt.Sprintf("The action %s of %s ended after the fix was interrupted; %s. It said: %s", job.Action, job.Fix, how, clip(ran.Output, 2000))}, by)
}

// begun starts the acts that events call for.
func (r *runner) begun(events []incident.Event) { // with mu held
	for _, ev := range events {
		f, flies := r.in.FixInFlight()
		if !flies || f.ID != ev.Subject.ID {
			continue
		}
		switch {
		case ev.Type == incident.FixApplying && f.State == incident.StateApplying:
			r.next = actKey(r.in, f, false)
			r.dueAct(f, false)
		case ev.Type == incident.FixRollingBack && f.State == incident.StateRollingBack:
			r.dueAct(f, true)
		}
	}
}

// readingEvery is how often a promise is looked at: often enough for a picture, no
// oftener than its check.
func readingEvery(c probe.Check, within time.Duration) time.Duration {
	return max(100*time.Millisecond, min(c.Every, within/10))
}

func (r *runner) dueReading(f incident.Fix, now time.Time) { // with mu held
	cfg, _ := r.e.site(r.id)
	c, known := checkOf(cfg, f.Promise.Check)
	if !known || r.reading || !passed(r.readAt, now, readingEvery(c, f.Promise.Within)) { // a person judges what no check can
		return
	}
	id := r.in.ID
	r.readAt, r.reading = now, r.e.later("measure a fix", func(ctx context.Context) {
		res := r.askHome(ctx, c)
		others := map[string]string{}
		for _, o := range cfg.Checks {
			if o.Gate && o.Name != c.Name && f.Before[o.Name] == string(probe.Pass) {
				others[o.Name] = string(r.askHome(ctx, o).Verdict)
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reading = false
		now, flies := r.in.FixInFlight()
		if ctx.Err() != nil || r.in.ID != id || !flies || now.ID != f.ID || now.State != incident.StateMeasuring {
			return
		}
		r.try(ctx, incident.ReadFix{Reading: readingOf(res), Others: others}, incident.Actor{Kind: "collector", Name: "lifeboat"})
	})
}

func readingOf(res probe.Result) incident.Reading {
	return incident.Reading{At: res.At.UTC(), Verdict: string(res.Verdict), Took: res.Took, Detail: clip(res.Detail, 300)}
}

func checkOf(cfg config.Site, name string) (probe.Check, bool) {
	for _, c := range cfg.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return probe.Check{}, false
}

// dueAgain measures the promise again with everybody back (R17).
func (r *runner) dueAgain(now time.Time) { // with mu held
	f, found := r.in.LastFix()
	if !found || f.State != incident.StateWorked || f.Promise.Check == "" || f.Again == string(probe.Pass) || r.reading {
		return
	}
	cfg, _ := r.e.site(r.id)
	c, known := checkOf(cfg, f.Promise.Check)
	if !known || !passed(r.readAt, now, max(c.Every, cfg.Sanity.Apart)) {
		return
	}
	id := r.in.ID
	r.readAt, r.reading = now, r.e.later("measure a promise again", func(ctx context.Context) {
		res := r.askHome(ctx, c)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reading = false
		if ctx.Err() == nil && r.in.ID == id && r.in.Phase == incident.Watch {
			r.try(ctx, incident.ReadAgain{Reading: readingOf(res)}, incident.Actor{Kind: "collector", Name: "lifeboat"})
		}
	})
}

// keptAgain says whether nothing that a fix promised is left to be measured again.
func (r *runner) keptAgain() bool { // with mu held
	f, found := r.in.LastFix()
	return !found || f.State != incident.StateWorked || f.Promise.Check == "" || f.Again == string(probe.Pass)
}

// actsOf gives the prepared acts of a site.
func (e *Engine) actsOf(site string) []Act {
	var out []Act
	for _, a := range e.o.Company.Acts {
		if a.Site == site {
			out = append(out, a)
		}
	}
	return out
}

// impact is what was measured by now, with who met the status page.
func (r *runner) impact() incident.Impact { // with mu held
	m := r.in.Measured(r.e.o.Now())
	if r.hits.Incident == r.in.ID {
		m.StandbyHit, m.Late = r.hits.Failover, r.hits.Late
	}
	return m
}

// hits counts who met the status page during an incident; answer's own counts begin
// anew with its process.
type hits struct {
	Incident string      `json:"incident"`
	Failover uint64      `json:"failover"` // in the incident
	Late     uint64      `json:"late"`
	Last     feed.Visits `json:"last"` // answer's counts when last looked
}

func (r *runner) countHits(id string) { // with mu held
	st, _, connected := r.e.getFeed().Status()
	v, known := st.Visits[r.id]
	if !connected || !known {
		return
	}
	if r.hits.Incident != id {
		r.hits = hits{Incident: id, Last: v}
	}
	r.hits.Failover += grown(r.hits.Last.Failover, v.Failover)
	r.hits.Late += grown(r.hits.Last.Late, v.Late)
	r.hits.Last = v
}

func grown(from, to uint64) uint64 {
	if to < from {
		return to
	}
	return to - from
}

// errNoSite says that a site is not known.
func errNoSite(site string) error {
	return fault.New(fault.NotFound, "there is no site %q", site).WithHint("see them with: lifeboat status")
}
