package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// goBack starts the return. Nothing moves yet: the sanity checks come first.
func (d *draft) goBack(c GoBack) error {
	if u := neverBack(d.facts); u != nil {
		return u
	}
	if !d.in.Phase.Open() { // a lever that an earlier incident left parked
		if len(d.facts.Parked) == 0 {
			return fault.New(fault.NotFound, "can't %s: there is no open incident", c.name()).WithHint("declare one with: lifeboat declare SITE")
		}
		if err := d.ensure("Going back: a lever was parked", false); err != nil {
			return err
		}
		for _, p := range d.in.ParkedPulls() {
			d.add(LeverUnparked, Subject{"pull", p.ID}, parkData{Pull: p.ID}, "%q goes back with the rest.", p.Title)
		}
	}
	switch d.in.Phase {
	case FailBack:
		return R10.refuse("Wait, or step back.", "The return is under way already.").With("lifeboat go-back step-back")
	case FailOver, Diagnose, Fixing:
	default:
		return fault.New(fault.Conflict, "there is nothing to go back from: the incident is at %s", d.in.Phase.Words())
	}
	if err := d.mayGoBack(); err != nil {
		return err
	}
	because, needed, err := d.reasonToGo(c)
	if err != nil {
		return err
	}
	if len(d.facts.Gates) == 0 {
		u := R13.refuse("Add a check to the site.", "The site has no check that could say it is well.")
		if err := d.pass(c.Reason, u); err != nil {
			return err
		}
	}
	d.add(ReturnPlanned, Subject{"site", d.in.Site}, returnData{Because: because, Needed: needed, Stages: d.staged()}, "%s starts the return: %s", d.who(), because)
	d.to(FailBack, fmt.Sprintf("The real site is asked directly, %d times in a row, before visitors return.", needed))
	d.add(StageStarted, Subject{"site", d.in.Site}, stageData{Share: d.in.Return.Next()}, "%s", stages(d.in.Return.Stages))
	if len(d.facts.Gates) == 0 {
		d.passed("there is no check to wait for")
	}
	return nil
}

// mayGoBack holds what no sentence passes: there is something to end, and nothing else
// is under way (R10).
func (d *draft) mayGoBack() error {
	_, fixed := d.in.LastFix()
	if len(d.in.Loose()) == 0 && len(d.in.own()) == 0 && !fixed && d.in.NoFailover == "" {
		return fault.New(fault.Conflict, "no lever is pulled, so visitors are on the real site").WithHint("a false alarm ends with: lifeboat cancel")
	}
	if lock := d.in.Lock(); lock != "" {
		return R10.refuse("Wait until it is done; a fix that did not help is taken back, or kept with a reason.", "Another change is under way: %s.", lock)
	}
	return d.nothingBegins()
}

// nothingBegins refuses while a fix or a pull is on its way (R10).
func (d *draft) nothingBegins() error {
	if f, found := d.in.FixPlanned(); found {
		return R10.refuse("Begin it, or withdraw it.", "A fix is proposed and not begun: %s.", f.ID).With("lifeboat fix withdraw %s", f.ID)
	}
	for _, p := range d.in.Holding() {
		if p.State == Applying {
			return R10.refuse("Wait until its effect is seen.", "%q is still being pulled.", p.Title)
		}
	}
	return nil
}

// reasonToGo says why the site should be well, and how many passes in a row show it:
// the set number after a fix that did what it promised (R12), twice as many where only
// words say so (R22).
func (d *draft) reasonToGo(c GoBack) (because string, needed int, err error) {
	because, needed = strings.TrimSpace(c.Because), max(1, d.facts.Settings.Passes)
	if !says(because) {
		because = ""
	}
	f, fixed := d.in.LastFix()
	switch {
	case fixed && f.State == StateWorked && !f.Doubted:
		return cmp.Or(because, f.ID+" did what it promised: "+stop(f.Result)), needed, nil
	case fixed && f.State == StateWorked:
		err = d.pass(cmp.Or(because, c.Reason), R12.refuse("Say what is different this time, or find out what it was.", "The fix %s did what it promised, and still the last return stepped back.", f.ID).With(`lifeboat go-back start --because "what changed"`))
	case fixed && f.State == StateAccepted:
		err = d.pass(cmp.Or(because, c.Reason), R12.refuse("Roll it back, or say what changed.", "The fix %s was kept, though it was not seen to do what it promised.", f.ID).With(`lifeboat go-back start --because "what changed"`))
	case because == "":
		err = d.pass(c.Reason, R22.refuse("Say it in a sentence.", "No fix is recorded, so one sentence must say what changed.").With(`lifeboat go-back start --because "what changed"`))
	}
	return cmp.Or(because, strings.TrimSpace(c.Reason)), 2 * needed, err
}

// sanity counts one result. Enough passes in a row of every gate check put
// everything back; an inconclusive result holds; three fails step back.
func (d *draft) sanity(c Sanity) error {
	r := d.in.Return
	if d.in.Phase != FailBack || r == nil || r.Passed || d.in.Moving() {
		return fault.New(fault.Conflict, "no sanity check is awaited")
	}
	c.Detail = brief(c.Detail)
	streak, failing := r.Streak[c.Check], 0
	switch c.Verdict {
	case "pass":
		streak++
	case "fail":
		streak, failing = 0, r.Failing[c.Check]+1
	default:
		streak, failing = 0, r.Failing[c.Check]
	}
	d.add(CheckVerdict, Subject{"check", c.Check}, VerdictData{Check: c.Check, Verdict: c.Verdict, Streak: streak, Failing: failing, Needed: r.Needed, Detail: c.Detail},
		"Sanity check %s: %s (%d of %d in a row).", c.Check, verdictWords(c), streak, r.Needed)
	switch {
	case c.Verdict == "inconclusive":
		d.add(ReturnHeld, Subject{"check", c.Check}, reasonData{Reason: c.Detail}, "We can't tell: %s gave no clear answer, so we wait. Nothing moves.", c.Check)
	case failing >= failsToStepBack:
		d.endReturn(fmt.Sprintf("the check %s failed %d times in a row", c.Check, failing))
		d.exposed()
	case d.streaksFull() && !d.now.Before(r.HoldUntil):
		d.passed(fmt.Sprintf("%s passed %d times in a row", strings.Join(d.sortedGates(), ", "), r.Needed))
	}
	return nil
}

func verdictWords(c Sanity) string {
	if c.Verdict == "pass" || c.Detail == "" {
		return c.Verdict
	}
	return c.Verdict + ", " + c.Detail
}

func (d *draft) sortedGates() []string {
	return slices.Sorted(slices.Values(d.facts.Gates))
}

func (d *draft) streaksFull() bool {
	for _, g := range d.facts.Gates {
		if d.in.Return.Streak[g] < d.in.Return.Needed {
			return false
		}
	}
	return len(d.facts.Gates) > 0
}

// passed ends the stage. After the last one everything is put back, newest first; every
// pull that holds is taken (R15: nothing else stays) unless it is parked.
func (d *draft) passed(why string) {
	if next := d.in.Return.Next(); next < 100 && len(d.in.sharable()) > 0 {
		d.shareStage(next, why)
		return
	}
	hold := d.in.Loose()
	ids := make([]string, 0, len(hold))
	for i := len(hold) - 1; i >= 0; i-- {
		ids = append(ids, hold[i].ID)
	}
	d.add(StagePassed, Subject{"site", d.in.Site}, stagePassedData{Undo: ids}, "The real site looks healthy: %s. %s go back.", why, whoIsLeft(d.in.Return.Share))
	for _, id := range ids {
		p, _ := d.in.Pull(id)
		d.undo(p)
	}
	if len(ids) == 0 { // what held was seen back already
		d.complete()
	}
}

func whoIsLeft(share int) string {
	if share > 0 {
		return "All others"
	}
	return "Visitors"
}

// advance passes R13 with a sentence.
func (d *draft) advance(c Advance) error {
	r := d.in.Return
	if d.in.Phase != FailBack || r == nil || r.Passed {
		return fault.New(fault.Conflict, "there is no return that waits for its checks")
	}
	if d.in.Moving() {
		return R10.refuse("Wait until it is seen.", "A share of the visitors is on its way back.")
	}
	if err := d.pass(c.Reason, d.notYet()); err != nil {
		return err
	}
	d.passed("a person went on")
	return nil
}

// complete ends the return once all is put back and seen from outside.
func (d *draft) complete() {
	d.add(ReturnCompleted, Subject{"site", d.in.Site}, struct{}{}, "Everybody is back on the real site.")
	window := d.facts.Settings.Watch
	if f, found := d.in.cured(); found && !f.AppliedAt.IsZero() { // at least twice as long as the effect may take
		window = max(window, 2*min(f.Promise.Within, f.MeasuredAt.Sub(f.AppliedAt).Round(time.Millisecond)))
	}
	d.to(Watch, "You're back. We keep an eye on it.")
	d.add(WatchStarted, Subject{"site", d.in.Site}, watchData{Until: d.now.Add(window)}, "We keep watching for %s.", spell(window))
}

// endReturn gives the return up. What it could not put back stays in force; levers that
// it had put back already are one press away.
func (d *draft) endReturn(why string) {
	d.add(SteppedBack, Subject{"site", d.in.Site}, reasonData{Reason: why}, "We go back to the safe page: %s.", why)
	d.unshare()
	next := "Back to finding out what happened."
	if len(d.in.returned()) == 0 {
		next += " Visitors are safe."
	}
	d.to(Diagnose, next)
}

// relapse says that it is not over after all, in the watch or in the write-up: what is
// written stays, and visitors come first again.
func (d *draft) relapse(why, text, next string) {
	d.reopen()
	d.add(WatchRelapse, Subject{"site", d.in.Site}, reasonData{Reason: why}, "%s", text)
	d.to(FailOver, next)
}

// stepBack is never blocked and asks nothing (R16). What this return, or the one that
// led to the watch or the write-up we are in, has put back is pulled again.
func (d *draft) stepBack(c StepBack) error {
	again := d.in.returned()
	why := d.who() + " pressed Go back to safety"
	switch d.in.Phase {
	case FailBack:
		d.endReturn(why)
	case Watch, Review:
		d.relapse(why, stop(why), "Back to getting visitors to safety.")
	default:
		return fault.New(fault.Conflict, "there is nothing to step back from: no return is under way").WithHint("pull a lever instead: lifeboat levers")
	}
	again = slices.DeleteFunc(again, func(p Pull) bool { return c.PullIDs[p.ID] == "" })
	var targets []string
	for _, p := range again {
		targets = append(targets, p.Target)
	}
	if len(again) > 0 {
		d.overtake(targets...)
	}
	for _, p := range again {
		id := c.PullIDs[p.ID]
		p.ID, p.SeenAt, p.FirstAt, p.BackAt, p.Detail, p.Drifted = id, time.Time{}, time.Time{}, time.Time{}, "", false
		p.Share, p.Wanted, p.ShareFailed = 0, 0, false
		d.add(LeverApplying, Subject{"pull", id}, pullData{Pull: p}, "%s pulled %q again.", d.who(), p.Title)
	}
	d.exposed()
	return nil
}

// returned gives the pulls that the return has put back or is putting back, in the
// order in which they were pulled.
func (in Incident) returned() []Pull {
	if in.Return == nil {
		return nil
	}
	var out []Pull
	for _, p := range in.Pulls {
		for _, id := range in.Return.Undo {
			if p.ID == id && (p.State == Undone || p.State == Undoing) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Returned gives the ids of the pulls that StepBack would pull again.
func (in Incident) Returned() []string {
	var ids []string
	for _, p := range in.returned() {
		ids = append(ids, p.ID)
	}
	return ids
}

// WentOnAt is when somebody last went back, or ended the watch, though the checks did not
// say that the site is well (R13, R17); zero: nobody did. What was down by then is no
// relapse: a person knew it, and an incident about a site that stays down has an end.
func (in Incident) WentOnAt() (at time.Time) {
	for _, o := range in.Overrides {
		if (o.Rule == R13.ID || o.Rule == R17.ID) && o.At.After(at) {
			at = o.At
		}
	}
	return at
}

func (d *draft) relapsed(c Relapsed) error {
	c.Detail = cmp.Or(brief(strings.TrimSpace(c.Detail)), "it came again")
	switch {
	case d.in.Phase == FailBack && d.in.BackShare() > 0:
		d.endReturn(c.Detail)
		d.exposed()
		return nil
	case d.in.Phase != Watch && d.in.Phase != Review:
		return fault.New(fault.Conflict, "there is nothing that could come again: the incident is at %s", d.in.Phase.Words())
	}
	d.relapse(c.Detail, "It is not over: "+c.Detail+".", "The same lever is one press away.")
	return nil
}

func (d *draft) watchOver(c WatchOver) error {
	if d.in.Phase != Watch {
		return fault.New(fault.Conflict, "there is no watch to end")
	}
	var rules []unmet
	if d.now.Before(d.in.WatchUntil) {
		rules = append(rules, R17.refuse("Wait until then.", "The watch goes on until %s.", d.in.WatchUntil.UTC().Format("15:04:05 UTC")))
	}
	if len(d.in.Loose()) > 0 {
		rules = append(rules, R17.refuse("Put it back first, or park it.", "A lever is still pulled."))
	}
	if f, found := d.in.cured(); found && f.Promise.Check != "" && f.Again != "pass" {
		rules = append(rules, R17.refuse("Wait until it is measured.", "What %s promised was not measured again with everybody back.", f.ID))
	}
	if d.facts.HomeSeen != "up" && len(d.facts.Gates) > 0 {
		rules = append(rules, R17.refuse("Wait until the checks pass.", "The checks do not all pass: the site is seen %s.", cmp.Or(d.facts.HomeSeen, "unknown")))
	}
	if err := d.pass(c.Reason, rules...); err != nil {
		return err
	}
	d.add(WatchPassed, Subject{"site", d.in.Site}, struct{}{}, "The watch is over and the site is well.")
	d.to(Review, "It is over. Write it down while you remember.")
	return nil
}

// own says whether an incident has to put a pull back by itself: it was not carried over and
// parked.
func own(p Pull) bool { return !p.Carried || p.Parked == nil }

func (d *draft) cancel(c Cancel) error {
	switch {
	case d.in.Phase != FailOver && d.in.Phase != Diagnose:
		return fault.New(fault.Conflict, "only an incident in its first two steps can be a false alarm").WithHint("close it instead: lifeboat close")
	case slices.ContainsFunc(d.in.Holding(), own):
		p := d.in.Holding()[slices.IndexFunc(d.in.Holding(), own)]
		return R5.refuse("Put every lever back first.", "A lever is still pulled.").With("lifeboat put-back %s", p.Lever)
	case d.in.Lock() != "":
		return R10.refuse("Wait until it is done, or keep it with a reason.", "Another change is under way: %s.", d.in.Lock())
	case len(d.facts.Gates) > 0 && d.facts.HomeSeen != "up":
		return R5.refuse("Wait until the checks pass.", "The checks do not all pass: the site is seen %s.", cmp.Or(d.facts.HomeSeen, "unknown"))
	}
	if d.facts.Impact != nil { // the last moment to measure
		if err := (Measure{*d.facts.Impact}).decide(d); err != nil {
			return err
		}
	}
	d.add(CancelledType, Subject{"site", d.in.Site}, reasonData{Reason: c.Reason}, "%s", strings.TrimSpace(d.who()+" called it a false alarm. "+c.Reason))
	return nil
}

func (d *draft) close(c Close) error {
	switch {
	case d.in.Phase == Watch:
		u := R17.refuse("Wait for the end of the watch, or end it with a reason.", "The watch is not over.").With(`lifeboat go-back end-watch --reason "why"`)
		u.Overridable = false // ending the watch takes the reason, closing does not
		return u
	case d.in.Phase != Review:
		return fault.New(fault.Conflict, "the incident is at %s; it can be closed after the watch", d.in.Phase.Words()).WithHint(`go back first: lifeboat go-back start --because "what changed"`)
	case d.in.Lock() != "": // what came of it would have no place to be written
		return R10.refuse("Wait until it is done.", "Another change is under way: %s.", d.in.Lock())
	}
	if err := d.pass(c.Reason, d.unfinished(c.Reason)...); err != nil {
		return err
	}
	end := "The post-mortem is final."
	if !d.in.WriteUp.Final {
		end = "No post-mortem: " + stop(c.Reason)
	}
	d.add(ClosedType, Subject{"site", d.in.Site}, reasonData{Reason: c.Reason}, "%s closed it. %s", d.who(), end)
	return nil
}

// unfinished are R17 to R21, as far as they do not hold. The reason for having no
// post-mortem is what R18 asks for, not an override of it.
func (d *draft) unfinished(reason string) []unmet {
	var out []unmet
	if len(d.in.Loose()) > 0 {
		out = append(out, R17.refuse("Put it back first, or park it.", "A lever is still pulled."))
	}
	if !d.in.WriteUp.Final && (!says(reason) || d.facts.Actor.Automatic()) {
		out = append(out, R18.refuse("Finish it, or say why there is none.", "The post-mortem is not final, and no reason says why there is none.").With("lifeboat postmortem finish"))
	}
	if owed := d.in.owed(); len(owed) > 0 {
		out = append(out, R19.refuse("Add them.", "A commitment lacks its owner, its date or how anybody sees that it is done: %s.", strings.Join(owed, ", ")).With("lifeboat follow-up change %s", owed[0]))
	}
	if d.in.WriteUp.Final && !d.in.onProcess() {
		out = append(out, R20.refuse("Accept a finding on process, or write one.", "The post-mortem says nothing on how we work.").With("lifeboat postmortem finding list"))
	}
	if told, over := d.in.toldPublic(); told && !over {
		out = append(out, R21.refuse("Tell everybody that it is over.", "The public was told that it began, and not that it is over.").With("lifeboat update --to public --over"))
	}
	return out
}

func (d *draft) score(c ScoreDrill) error {
	if !d.in.Drill {
		return U10.refuse("Only a drill has a score.", "This is not a drill.")
	}
	c.Detail = brief(c.Detail)
	verdict := "failed: " + c.Detail
	if c.OK {
		verdict = fmt.Sprintf("there in %d ms, back in %d ms", c.ThereMS, c.BackMS)
	}
	d.add(DrillScored, Subject{"lever", c.Lever}, c.DrillData, "DRILL of %q: %s.", c.Lever, verdict)
	d.add(ClosedType, Subject{"lever", c.Lever}, reasonData{Reason: "drill"}, "The drill is over.")
	return nil
}
