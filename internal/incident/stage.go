package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The return in stages: a share of the visitors meets the real site, is given time to
// find what is wrong with it, and only then does the next share follow. The last stage
// is always everybody.

// ShareStuck is why a return ends in which a share of the visitors could not be moved.
const ShareStuck = "a share of the visitors could not be moved"

// maxStages bounds the stages that an event may name.
const maxStages = 20

// Shared records what came of the order that a share of a pull's visitors is back.
type Shared struct {
	Pull   string
	Share  int // per cent, as it was ordered
	OK     bool
	Detail string
	TookMS int64
}

func (Shared) name() string            { return "record" }
func (c Shared) decide(d *draft) error { return d.shared(c) }

type (
	// ShareData is the share of a pull's visitors who are back.
	ShareData struct {
		Pull   string `json:"pull"`
		Share  int    `json:"share"` // per cent
		Detail string `json:"detail,omitempty"`
		TookMS int64  `json:"took_ms,omitempty"`
	}
	stageData struct {
		Share     int       `json:"share"`               // per cent who go back when it is passed
		Back      int       `json:"back,omitempty"`      // per cent who are back by now
		HoldUntil time.Time `json:"hold_until,omitzero"` // it is not passed before
	}
)

var stageFolds = folder{
	LeverSharing: with(func(in *Incident, _ Event, d ShareData) {
		in.each(d.Pull, func(p *Pull) { p.Wanted, p.ShareFailed = share(d.Share), false })
	}),
	LeverShared: with(func(in *Incident, _ Event, d ShareData) {
		in.each(d.Pull, func(p *Pull) { p.Share, p.ShareFailed = share(d.Share), false })
	}),
	LeverShareFailed: with(func(in *Incident, _ Event, d ShareData) {
		in.each(d.Pull, func(p *Pull) { p.Share, p.ShareFailed = max(p.Share, share(d.Share)), true }) // it may be in force
	}),
	StageStarted: returning(func(r *Return, _ Event, d stageData) { r.HoldUntil = d.HoldUntil }),
	StagePassed: returning(func(r *Return, _ Event, d stagePassedData) {
		if d.Share > 0 && d.Share < 100 {
			r.Stage, r.Share = r.Stage+1, d.Share
			r.Streak, r.Failing = map[string]int{}, map[string]int{}
			return
		}
		r.Passed, r.Undo = true, d.Undo
	}),
}

// share keeps a percentage one.
func share(percent int) int { return min(max(percent, 0), 100) }

// Moving says whether a share is ordered for the pull that is not known to be in force.
func (p Pull) Moving() bool { return p.Holds() && p.Share != p.Wanted }

// Moving says whether the share of some pull is on its way.
func (in Incident) Moving() bool { return slices.ContainsFunc(in.Pulls, Pull.Moving) }

// BackShare is the largest share of visitors, in per cent, who may meet the real site
// though a lever holds for the others.
func (in Incident) BackShare() int {
	most := 0
	for _, p := range in.Pulls {
		if p.Holds() {
			most = max(most, p.Share, p.Wanted)
		}
	}
	return most
}

// Next is the share, in per cent, that goes back when the stage under way is passed.
func (r Return) Next() int {
	if r.Stage < len(r.Stages) {
		return r.Stages[r.Stage]
	}
	return 100
}

// staged are the stages of a return that begins now: all at once in a drill, where no
// pull can go back by shares, and where no check could stop it.
func (d *draft) staged() []int {
	if d.in.Drill || len(d.in.sharable()) == 0 || len(d.facts.Gates) == 0 {
		return nil
	}
	return rising(d.facts.Settings.Stages)
}

// rising are the shares that can be stages: each more than the one before, and less than
// everybody.
func rising(shares []int) []int {
	var out []int
	for _, s := range shares {
		if s > 0 && s < 100 && len(out) < maxStages && (len(out) == 0 || s > out[len(out)-1]) {
			out = append(out, s)
		}
	}
	return out
}

// sharable are the pulls that can go back by shares: on each target the one on top.
func (in Incident) sharable() []Pull {
	return slices.DeleteFunc(in.Loose(), func(p Pull) bool {
		top, _ := in.OnTop(p.Target)
		return !p.Shares || p.State != Active || top.ID != p.ID
	})
}

// stages are a return's stages in words.
func stages(shares []int) string {
	if len(shares) == 0 {
		return "One stage: all visitors together."
	}
	words := make([]string, len(shares))
	for i, s := range shares {
		words[i] = fmt.Sprintf("%d %%", s)
	}
	return fmt.Sprintf("In stages: %s of the visitors, then everybody.", strings.Join(words, ", then "))
}

// shareStage lets the share of a stage go back.
func (d *draft) shareStage(percent int, why string) {
	d.add(StagePassed, Subject{"site", d.in.Site}, stagePassedData{Share: percent}, "The real site looks healthy: %s. About %d %% of visitors go back.", why, percent)
	for _, p := range d.in.sharable() {
		d.add(LeverSharing, Subject{"pull", p.ID}, ShareData{Pull: p.ID, Share: percent}, "%q: about %d %% of visitors go from %s to %s.", p.Title, percent, p.To, p.From)
	}
}

// unshare lets every pull hold for everybody again. It is towards safety and asks nothing.
func (d *draft) unshare() {
	for _, p := range d.in.Pulls {
		if p.Holds() && p.Wanted > 0 {
			d.add(LeverSharing, Subject{"pull", p.ID}, ShareData{Pull: p.ID}, "%q holds for everybody again.", p.Title)
		}
	}
}

func (d *draft) shared(c Shared) error {
	p, known := d.in.Pull(c.Pull)
	switch {
	case !known:
		return fault.New(fault.NotFound, "no pull %s", c.Pull)
	case !p.Moving() || p.Wanted != c.Share: // overtaken
		return nil
	}
	data, s := ShareData{Pull: p.ID, Share: c.Share, Detail: brief(c.Detail), TookMS: c.TookMS}, Subject{"pull", p.ID}
	switch {
	case c.OK && c.Share == 0:
		d.add(LeverShared, s, data, "%q is in force for everybody.", p.Title)
	case c.OK:
		d.add(LeverShared, s, data, "%q: about %d %% of visitors are back.", p.Title, c.Share)
		d.hold()
	case p.ShareFailed: // said before; it is tried until it is done
	default:
		d.add(LeverShareFailed, s, data, "%q: it is not certain how many visitors meet the real site: %s.", p.Title, stop(data.Detail))
		if d.in.Phase == FailBack {
			d.endReturn(ShareStuck)
			d.exposed()
		}
	}
	return nil
}

// hold begins the next stage once the share of the last one is back.
func (d *draft) hold() {
	r := d.in.Return
	if d.in.Phase != FailBack || r == nil || r.Passed || d.in.Moving() {
		return
	}
	until := d.now.Add(d.facts.Settings.Hold)
	next := fmt.Sprintf("%d %%", r.Next())
	if r.Next() == 100 {
		next = "all others"
	}
	d.add(StageStarted, Subject{"site", d.in.Site}, stageData{Share: r.Next(), Back: r.Share, HoldUntil: until},
		"They are watched for %s, then %s go back.", spell(d.facts.Settings.Hold), next)
}

// notYet refuses to go on before the share that is back has been watched long enough (R13).
func (d *draft) notYet() unmet {
	r := d.in.Return
	if d.streaksFull() && d.now.Before(r.HoldUntil) {
		return R13.refuse("Wait until then.", "The %d %% who are back are watched until %s.", r.Share, r.HoldUntil.UTC().Format("15:04:05 UTC"))
	}
	return R13.refuse(fmt.Sprintf("Wait for %d passes in a row of each.", r.Needed), "Not every check has passed often enough in a row.")
}
