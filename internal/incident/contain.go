package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// pull is the way to safety: free when armed, one sentence when not (U1, R1).
func (d *draft) pull(c PullLever) error {
	l := d.facts.Lever
	if l == nil {
		return fault.New(fault.Internal, "pull without a lever")
	}
	if err := d.mayPull(c, l); err != nil {
		return err
	}
	if err := d.ensure(c.title(d), c.Drill); err != nil {
		return err
	}
	if err := d.twice(l); err != nil { // one that an earlier incident left parked
		return err
	}
	if c.Drill {
		d.add(DrillStarted, Subject{"lever", l.Name}, DrillData{Lever: l.Name}, "DRILL: %s rehearses %q on a name that is nobody's.", d.who(), l.Title)
	}
	rules := pullRules(d.facts, c.Drill, d.now)
	if l.ToRank < l.FromRank {
		rules = append(rules, U1.refuse("Start the return, or put the newer lever back.", "It leads from %s to %s, which is less safe.", l.From, l.To).With("lifeboat go-back start"))
	}
	if err := d.pass(cut(c.Reason, maxText), rules...); err != nil {
		return err
	}
	if p, on := d.in.OnTop(l.Target); on && p.Lever == l.Name && p.Drifted { // what somebody else set is where the new pull leads back to
		d.add(LeverUndone, Subject{"pull", p.ID}, OutcomeData{Pull: p.ID, Detail: "somebody else had changed it"}, "The former pull of %q is over: somebody else had changed it.", p.Title)
	}
	d.interrupt(l.Target)
	looked := *l
	looked.Standby = d.facts.Standby
	d.add(LeverApplying, Subject{"pull", c.PullID}, pullData{Pull: newPull(c.PullID, l), Facts: &looked}, "%s pulled %q: from %s to %s.", d.who(), l.Title, l.From, l.To)
	return nil
}

func newPull(id string, l *LeverFacts) Pull {
	return Pull{ID: id, Lever: l.Name, Kind: l.Kind, Title: l.Title, Target: l.Target, From: l.From, To: l.To, Plan: l.Plan, Shares: l.Shares}
}

func (c PullLever) title(d *draft) string {
	if c.Drill {
		return "DRILL of " + d.facts.Lever.Name
	}
	return ""
}

// mayPull holds what no sentence passes: a lever that is pulled already, a drill
// that would touch production, an automatic move out of turn.
func (d *draft) mayPull(c PullLever, l *LeverFacts) error {
	if d.in.Phase.Open() && d.in.Drill != c.Drill {
		return U10.refuse("Finish the drill first.", "A drill and a real move are never mixed.")
	}
	if err := d.twice(l); err != nil {
		return err
	}
	if u := autoRules(d.facts, d.now); u != nil {
		return u
	}
	return nil
}

// twice refuses a lever that is pulled already; one that no longer holds can be pulled
// again.
func (d *draft) twice(l *LeverFacts) error {
	if p, on := d.in.OnTop(l.Target); on && p.Lever == l.Name && (p.State == Applying || p.State == Active && !p.Drifted) {
		return fault.New(fault.Conflict, "%q is pulled already", l.Name).WithHint("see where it stands with: lifeboat status")
	}
	return nil
}

// interrupt lets a pull go before whatever holds the lock (U11): the return and the
// watch end, and the incident is back where visitors are made safe.
func (d *draft) interrupt(target string) {
	d.overtake(target)
	d.interruptFix()
	switch d.in.Phase {
	case FailBack:
		d.add(SteppedBack, Subject{"site", d.in.Site}, reasonData{Reason: "a lever was pulled"}, "The return stops here: a lever was pulled.")
		d.unshare()
		d.to(Diagnose, "Back to finding out what happened.")
	case Watch:
		d.relapse("a lever was pulled", "It is not over: a lever was pulled while watching.", "Back to getting visitors to safety.")
	case Review:
		d.relapse("a lever was pulled", "It is not over: a lever was pulled during the write-up.", "Back to getting visitors to safety.")
	}
}

// overtake ends put-backs under way: on the targets of new pulls these decide, and
// what else was on its way back stays in force.
func (d *draft) overtake(targets ...string) {
	for _, p := range d.in.Pulls {
		if p.State != Undoing {
			continue
		}
		if slices.Contains(targets, p.Target) {
			d.add(LeverUndone, Subject{"pull", p.ID}, OutcomeData{Pull: p.ID, Detail: "overtaken by a newer pull"}, "The put-back of %q is overtaken by a newer pull.", p.Title)
			continue
		}
		d.add(LeverActive, Subject{"pull", p.ID}, OutcomeData{Pull: p.ID}, "%q stays in force: its put-back was interrupted.", p.Title)
	}
}

// adopt takes over what was done without us: a local order, or a position found at
// start. No rule is asked: it has happened (U6).
func (d *draft) adopt(c Adopt) error {
	l := d.facts.Lever
	if l == nil {
		return fault.New(fault.Internal, "adopt without a lever")
	}
	if p, known := d.in.Pull(c.PullID); known && p.Holds() { // taken over before, and not let go of since
		return nil
	}
	d.facts.Actor, c.Detail = c.By, brief(c.Detail)
	if !c.At.IsZero() {
		d.at = c.At
	}
	if err := d.ensure(c.Title, false); err != nil {
		return err
	}
	if p, on := d.in.OnTop(l.Target); on && p.To == l.To {
		d.add(NoteAdded, Subject{"pull", p.ID}, reasonData{Reason: c.Detail, Lever: l.Name}, "%s had pulled %q at answer. %s", d.who(), l.Title, c.Detail) // we ordered it ourselves, too
		return nil
	}
	d.interrupt(l.Target)
	d.add(LeverApplying, Subject{"pull", c.PullID}, pullData{Pull: newPull(c.PullID, l), Facts: l}, "%s pulled %q: from %s to %s. %s", d.who(), l.Title, l.From, l.To, c.Detail)
	d.add(LeverActive, Subject{"pull", c.PullID}, OutcomeData{Pull: c.PullID, Detail: c.Detail}, "%q is in force.", l.Title)
	return nil
}

// putBack takes one pull back. It is free while failing over, within the take-back
// window, or when somebody else changed the world anyway; later it is the return.
func (d *draft) putBack(c PutBack) error {
	p, err := d.holding(c.Lever)
	if err != nil {
		return err
	}
	if u := neverBack(d.facts); u != nil && !d.in.Drill {
		return u
	}
	if lock := d.in.Lock(); lock != "" {
		return R10.refuse("Wait until it is done, or step back.", "Another change is under way: %s.", lock)
	}
	if top, _ := d.in.OnTop(p.Target); top.ID != p.ID {
		return fault.New(fault.Conflict, "%q was pulled after it and is on top", top.Lever).WithHint("put %s back first", top.Lever)
	}
	if p.State == Applying {
		return R10.refuse("Wait until its effect is seen.", "%q is still being pulled.", p.Title)
	}
	if err := d.mayPutBack(p, c.Reason); err != nil {
		return err
	}
	if !d.facts.Actor.Automatic() && p.By.Automatic() && !d.facts.AutoHeld {
		d.add(AutoHeldType, Subject{"site", d.in.Site}, ruleData{Rule: U3.ID, Reason: "a person took an automatic move back"}, "Nothing moves by itself until a person lets it: %s took an automatic move back.", d.who())
	}
	d.undo(p)
	return nil
}

// mayPutBack is U1 for taking a pull back: free for a while, when nobody can tell
// whether it is in force, and when it does harm itself; later it is the return. A
// parked one comes back once the real site is well.
func (d *draft) mayPutBack(p Pull, reason string) error {
	harmful := p.Kind == "zone" && d.facts.Place == p.To && d.facts.PlaceSeen == "down" && d.facts.HomeSeen == "up"
	switch {
	case d.in.Drill || d.in.Phase == FailOver || p.State == Stuck || harmful || d.now.Before(p.At.Add(d.facts.Settings.TakeBack)):
		return nil
	case p.Parked != nil && (d.in.Phase == Watch || d.in.Phase == Review):
		if d.facts.HomeSeen == "up" || len(d.facts.Gates) == 0 {
			return nil
		}
		return d.pass(reason, R13.refuse("Wait until the checks pass.", "The checks do not all pass: the site is seen %s.", cmp.Or(d.facts.HomeSeen, "unknown")))
	}
	return d.pass(reason, U1.refuse("Start the return, and say what changed.", "It was pulled more than %s ago, so putting it back exposes visitors: that is the return.", spell(d.facts.Settings.TakeBack)).With(`lifeboat go-back start --because "what changed"`))
}

func (d *draft) undo(p Pull) {
	d.add(LeverUndoing, Subject{"pull", p.ID}, OutcomeData{Pull: p.ID}, "%s puts %q back: from %s to %s.", d.who(), p.Title, p.To, p.From)
}

func (d *draft) holding(lever string) (Pull, error) {
	for i := len(d.in.Pulls) - 1; i >= 0; i-- {
		if p := d.in.Pulls[i]; p.Lever == lever && p.Holds() {
			if p.State == Undoing {
				return p, R10.refuse("Wait until it is done.", "%q is being put back already.", p.Title)
			}
			return p, nil
		}
	}
	return Pull{}, fault.New(fault.NotFound, "%q is not pulled", lever).WithHint("see what is with: lifeboat status")
}

// outcome records what an act came to, and moves the phase where that follows. A
// late word about an act that is over, or was overtaken, changes nothing.
func (d *draft) outcome(c Outcome) error {
	p, known := d.in.Pull(c.Pull)
	if !known {
		return fault.New(fault.NotFound, "no pull %s", c.Pull)
	}
	if !p.awaits(c.Back) && !(c.GivenUp && p.Holds()) {
		return nil
	}
	c.Detail = brief(c.Detail)
	data := OutcomeData{Pull: c.Pull, Detail: c.Detail, Seen: seen(c.Seen), TookMS: c.TookMS}
	s := Subject{"pull", p.ID}
	switch {
	case c.GivenUp:
		d.ended(p, LeverGivenUp, data, fmt.Sprintf("%q ends here, with no way back: %s", p.Title, stop(c.Detail)))
	case c.Result == Unclear:
		d.add(LeverUnknown, s, data, "We can't tell whether %q took effect: %s. Somebody must look.", p.Title, c.Detail)
		d.endFailedReturn(p)
	case !c.Back && c.Result == Done:
		d.done(p, data)
	case !c.Back:
		d.add(LeverFailed, s, data, "%q did not take effect: %s. Nothing has changed.", p.Title, c.Detail)
		d.exposed()
	case c.Result == Done:
		d.undone(p, data)
	default:
		d.add(LeverActive, s, data, "%q could not be put back: %s. It is still in force.", p.Title, c.Detail)
		d.endFailedReturn(p)
	}
	return nil
}

// seen is what the witnesses saw, or nothing where that is too much to be written down;
// what it comes to is in the sentence beside it.
func seen(raw json.RawMessage) json.RawMessage {
	if b, err := json.Marshal(raw); err == nil && len(b) > maxSeen {
		return nil
	}
	return raw
}

// awaits says whether word of an act in this direction can still tell something. An
// act that nobody can tell the result of awaits both; so does a pull in force, which
// is looked at again and again and may have been put back at the last moment.
func (p Pull) awaits(back bool) bool {
	switch p.State {
	case Applying:
		return !back
	case Undoing:
		return back
	}
	return p.Holds()
}

// endFailedReturn gives up a return in which a lever could not be put back.
func (d *draft) endFailedReturn(p Pull) {
	if d.in.Phase == FailBack {
		d.endReturn(fmt.Sprintf("%q could not be put back", p.Title))
		d.exposed()
	}
}

func (d *draft) done(p Pull, data OutcomeData) {
	s := Subject{"pull", p.ID}
	if p.State != Active {
		d.add(LeverActive, s, data, "%q is in force.", p.Title)
	}
	d.add(LeverSeen, s, data, "Seen from outside: %s.", data.Detail)
	if d.in.Phase == FailOver && !d.in.Drill {
		why := "Visitors are looked after. There is no hurry now."
		if p.To != "standby" { // nobody has seen yet how visitors fare there
			why = "The lever is seen to hold. Now to find out what happened."
		}
		d.to(Diagnose, why)
	}
}

func (d *draft) undone(p Pull, data OutcomeData) {
	d.ended(p, LeverUndone, data, fmt.Sprintf("%q is put back. Seen from outside: %s.", p.Title, data.Detail))
}

// ended records that a pull holds no more, and what follows.
func (d *draft) ended(p Pull, how Type, data OutcomeData, text string) {
	d.add(how, Subject{"pull", p.ID}, data, "%s", text)
	if len(d.in.Loose()) == 0 && d.in.Phase == FailBack && d.in.Return != nil && d.in.Return.Passed {
		d.complete()
		return
	}
	d.exposed()
}

// exposed goes back to the first step once no lever is pulled any more, unless a
// person has decided so, or a fix is at work.
func (d *draft) exposed() {
	if _, busy := d.in.FixInFlight(); busy {
		return
	}
	if len(d.in.own()) == 0 && d.in.Phase == Diagnose && d.in.NoFailover == "" {
		d.to(FailOver, "No lever is pulled any more: visitors meet the site as it is.")
	}
}

func (d *draft) propose(c Propose) error {
	l := d.facts.Lever
	if l == nil {
		return fault.New(fault.Internal, "propose without a lever")
	}
	if d.in.Proposed == l.Name || len(d.in.Loose()) > 0 {
		return nil
	}
	c.Why = brief(c.Why)
	if !d.in.Phase.Open() {
		if err := d.open(Declare{Title: c.Why, Noticed: "monitor", FirstSymptomAt: d.at}); err != nil {
			return err
		}
	}
	d.add(LeverProposed, Subject{"lever", l.Name}, reasonData{Reason: c.Why, Lever: l.Name}, "%s. Proposed: %s. A person presses.", strings.TrimSuffix(c.Why, "."), l.Title)
	return nil
}

func (d *draft) drifted(c Drifted) error {
	p, known := d.in.Pull(c.Pull)
	if !known || p.State != Active || p.Drifted {
		return nil
	}
	c.Detail = brief(c.Detail)
	d.add(LeverDrift, Subject{"pull", p.ID}, OutcomeData{Pull: c.Pull, Detail: c.Detail, Seen: seen(c.Seen), Back: c.Back}, "%q no longer holds: somebody else changed this. %s.", p.Title, c.Detail)
	return nil
}

func (d *draft) noFailover(c DecideNoFailover) error {
	if d.in.Phase != FailOver {
		return fault.New(fault.Conflict, "the incident is past its first step already")
	}
	if !says(c.Reason) || d.facts.Actor.Automatic() {
		return R4.refuse("Write one sentence why visitors stay where they are.", "Nothing was contained.").With(`lifeboat go-on --reason "why"`)
	}
	d.add(DecisionMade, Subject{"site", d.in.Site}, reasonData{Reason: c.Reason}, "%s decided not to move visitors: %s", d.who(), c.Reason)
	d.to(Diagnose, "On to finding out what happened.")
	return nil
}

// park leaves a lever pulled past the return.
func (d *draft) park(c ParkLever) error {
	p, err := d.holding(c.Lever)
	switch {
	case err != nil:
		return err
	case d.in.Drill:
		return U10.refuse("Put it back.", "A drill leaves nothing behind.")
	case p.State != Active:
		return fault.New(fault.Conflict, "%q is %s; only a lever that is in force can be parked", c.Lever, p.State)
	case strings.TrimSpace(c.Owner) == "" || tooLong(c.Owner, 64): // "Bo" is a name
		return fault.New(fault.Invalid, "say who looks after it").At("owner").WithHint("a name, as it will stand in the timeline")
	case !c.Until.After(d.now):
		return fault.New(fault.Invalid, "say until when, and that in the future").At("until").WithHint("for example 2006-01-02")
	case !says(c.Reason) || tooLong(c.Reason, maxLine):
		return fault.New(fault.Invalid, "say why it stays, in at most %d characters", maxLine).At("reason").WithHint("one sentence")
	case d.in.Phase == FailBack && d.in.Return != nil && (d.in.Return.Passed || d.in.Return.Share > 0):
		return R10.refuse("Wait until the return is done.", "Another change is under way: the return.")
	}
	k := Parking{Owner: strings.TrimSpace(c.Owner), Until: c.Until.UTC(), Reason: strings.TrimSpace(c.Reason), By: d.facts.Actor, At: d.at.UTC()}
	var all []Pull
	for _, x := range d.in.Holding() { // with what lies below it on the same target, which cannot go back before it
		if x.ID == p.ID || x.Target == p.Target && x.Parked == nil && x.State != Undoing {
			x.Parked = &k
			all = append(all, x)
		}
		if x.ID == p.ID {
			break
		}
	}
	if raw, err := json.Marshal(append(d.in.ParkedPulls(), all...)); err != nil || len(raw) > maxParked { // the next declaration carries them
		return fault.New(fault.Conflict, "%d levers are parked already, and no more fit", len(d.in.ParkedPulls())).WithHint("put one of them back first")
	}
	for _, x := range all {
		d.add(LeverParked, Subject{"pull", x.ID}, parkData{x.ID, k}, "%q stays pulled until %s; %s looks after it: %s", x.Title, k.Until.Format("2 January 15:04 UTC"), k.Owner, stop(k.Reason))
	}
	return nil
}

func (d *draft) unpark(c UnparkLever) error {
	p, err := d.holding(c.Lever)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(d.in.ParkedPulls(), func(x Pull) bool { return x.Lever == c.Lever }); i >= 0 {
		p = d.in.ParkedPulls()[i]
	}
	switch {
	case p.Parked == nil:
		return nil
	case d.in.Phase == Watch || d.in.Phase == Review:
		return fault.New(fault.Conflict, "the rest has gone back already").WithHint("put it back: lifeboat put-back %s", c.Lever)
	case d.in.Phase == FailBack && d.in.Return != nil && (d.in.Return.Passed || d.in.Return.Share > 0):
		return R10.refuse("Wait until the return is done.", "Another change is under way: the return.")
	}
	for _, x := range d.in.ParkedPulls() { // what lies above it on the same target goes first
		if x.Target == p.Target {
			d.add(LeverUnparked, Subject{"pull", x.ID}, parkData{Pull: x.ID}, "%q goes back with the rest.", x.Title)
		}
	}
	return nil
}

// makePermanent adopts the place where visitors are as the site's home. It is asked
// for as much as a return.
func (d *draft) makePermanent(c MakePermanent) error {
	if u := neverBack(d.facts); u != nil {
		return u
	}
	switch d.in.Phase {
	case Diagnose, Fixing, FailBack:
	default:
		return fault.New(fault.Conflict, "the incident is at %s", d.in.Phase.Words()).WithHint("send visitors to the other place first: lifeboat levers")
	}
	if lock := d.in.Lock(); lock != "" && lock != "the return" {
		return R10.refuse("Wait until it is done.", "Another change is under way: %s.", lock)
	}
	if err := d.nothingBegins(); err != nil {
		return err
	}
	p, on := d.in.OnTop("zone:" + d.in.Site)
	switch {
	case !on || !d.facts.Origin || p.To != d.facts.Place:
		return fault.New(fault.Conflict, "visitors are not at another place that runs the site").WithHint("pull the lever that sends them there first")
	case p.State != Active:
		return R10.refuse("Wait until its effect is seen.", "%q is %s.", p.Title, p.State)
	case !says(c.Reason):
		return fault.New(fault.Invalid, "say why the old place does not come back").At("reason").WithHint("one sentence")
	}
	if d.facts.PlaceSeen != "up" {
		u := R13.refuse("Wait until its checks pass.", "The checks at %s do not all pass: it is seen %s.", p.To, cmp.Or(d.facts.PlaceSeen, "unknown"))
		if err := d.pass(c.Reason, u); err != nil {
			return err
		}
	}
	if d.in.Phase != FailBack {
		d.add(ReturnPlanned, Subject{"site", d.in.Site}, returnData{Because: c.Reason, Needed: 1}, "%s ends the failover where visitors are: %s", d.who(), stop(c.Reason))
		d.to(FailBack, "Nobody moves: the place where visitors are becomes the site's home.")
	}
	for _, x := range d.in.Holding() {
		if x.Target == p.Target {
			d.add(LeverSettled, Subject{"pull", x.ID}, OutcomeData{Pull: x.ID, Detail: "home is " + p.To + " now"}, "%q is permanent: home is %s now.", x.Title, p.To)
		}
	}
	if len(d.in.Loose()) == 0 {
		d.complete()
		return nil
	}
	d.passed("home is " + p.To + " now")
	return nil
}
