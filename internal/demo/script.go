package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/demo/shop"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// Waits between looks.
const (
	lookEvery  = 10 * time.Millisecond
	backPause  = 500 * time.Microsecond // between queries while the checks run: the error of what is measured
	crowdCalm  = 25                     // visits that are seen before the shop is broken
	crowdMoved = 50                     // visits that are seen at each end of the way
)

// script is the play: there and back.
func (p *play) script() []step {
	return []step{
		{"ready", 2 * readyTime, p.ready},
		{"rehearse", 30 * time.Second, p.rehearse},
		{"visit", 30 * time.Second, p.visit},
		{"break", 30 * time.Second, p.breakShop},
		{"press", 30 * time.Second, p.press},
		{"standby", 30 * time.Second, p.standby},
		{"feature", 30 * time.Second, p.feature},
		{"repair", 60 * time.Second, p.repair},
		{"return", 60 * time.Second, p.goBack},
		{"home", 30 * time.Second, p.home},
		{"watch", 60 * time.Second, p.watch},
		{"close", 10 * time.Second, p.close},
	}
}

// ready starts the shops and lifeboat.
func (p *play) ready(ctx context.Context) (string, error) {
	o, err := Options{
		Binary: p.o.Binary, Data: p.o.Data, HTTP: p.o.HTTP, DNS: p.o.DNS, OFREP: p.o.OFREP, Now: p.now, standbyIP: p.o.standbyIP,
	}.withDefaults()
	if err != nil {
		return "", err
	}
	began, wait := p.now(), p.tell.wait("starting two shops, control and answer", 0)
	p.boat, err = launch(ctx, o)
	wait.over()
	if err != nil {
		return "", err
	}
	p.report.ReadyMS = p.since(began)
	if p.client, err = p.boat.client(); err != nil {
		return "", err
	}
	p.crowd = newCrowd(p.boat.set.DNS, p.boat.set.Port, p.now)
	if p.visitor, err = newVisitor(p.crowd); err != nil {
		return "", err
	}
	err = p.await(ctx, func(s api.SiteView) (bool, string) {
		home, standby := seen(s, "main"), seen(s, "standby")
		return home == probe.Up && s.Ordered.Home, fmt.Sprintf("main is seen %s, the standby %s, visitors are ordered to %s", home, standby, s.Ordered.Position)
	})
	return "two shops, control and answer run; the shop is seen up", err
}

// rehearse drills every lever.
func (p *play) rehearse(ctx context.Context) (said string, err error) {
	p.report.Drills, err = rehearse(ctx, p.client)
	return drillWords(p.report.Drills), err
}

// visit lets somebody buy, and everybody else come.
func (p *play) visit(ctx context.Context) (string, error) {
	if err := p.flagIs(ctx, true); err != nil {
		return "", err
	}
	order, err := p.visitor.buy(ctx)
	if err != nil {
		return "", err
	}
	p.crowd.outlooks.set(outlook{names: atMain, visits: atMain})
	p.startLoad()
	if err := p.meets(ctx, "visits to the shop", atMain, crowdCalm); err != nil {
		return "", err
	}
	return fmt.Sprintf("somebody who knows only the name has bought something (%s); 50 visits and 500 queries a second go on", order), nil
}

// breakShop breaks the shop and waits until that is seen.
func (p *play) breakShop(ctx context.Context) (string, error) {
	p.crowd.outlooks.set(outlook{names: atMain, visits: atMain | nowhere})
	began := p.now()
	if err := p.boat.main.hurt(ctx, string(p.o.Case)); err != nil {
		return "", err
	}
	wait := p.tell.wait("until it is seen", 0)
	defer wait.over()
	err := p.await(ctx, func(s api.SiteView) (bool, string) {
		wait.at(0)
		return seen(s, "main") == probe.Down, fmt.Sprintf("main is seen %s", seen(s, "main"))
	})
	if err != nil {
		return "", err
	}
	p.report.OutageSeenMS = p.since(began)
	return fmt.Sprintf("%s; seen down after %s", harmWords[p.o.Case], words(p.report.OutageSeenMS)), nil
}

var harmWords = map[shop.Harm]string{
	shop.Kill:       "the shop's process was killed",
	shop.Hang:       "the shop takes connections and never answers",
	shop.BadRelease: "every page of the shop is an error",
}

// press pulls the lever and takes the time until the first changed answer.
func (p *play) press(ctx context.Context) (string, error) {
	p.crowd.outlooks.set(outlook{names: atMain | atStandby, visits: atMain | atStandby | nowhere})
	changed, ready := p.crowd.resolver.watch(ctx, Host, netip.MustParseAddr(mainIP), 0, p.now)
	select {
	case <-ready:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	began := p.now()
	res, err := p.client.Pull(ctx, toStandby, "")
	p.report.PressToDoneMS = p.since(began)
	if err != nil {
		p.report.PressToDoneMS = 0
		return "", fmt.Errorf("pull %s: %w", toStandby, err)
	}
	p.incident = res.Incident.ID
	c, err := led(ctx, changed, standbyIP)
	if err != nil {
		return "", err
	}
	p.crowd.outlooks.set(outlook{names: atStandby, visits: atStandby})
	p.report.PressToDNSMS = millis(c.at.Sub(began))
	return fmt.Sprintf("the name leads to the standby after %s; told so after %s", words(p.report.PressToDNSMS), words(p.report.PressToDoneMS)), nil
}

// led waits for a change and says whether it leads where it should.
func led(ctx context.Context, changed <-chan change, to string) (change, error) {
	select {
	case c := <-changed:
		if c.err != nil {
			return c, fmt.Errorf("watch the name: %w", c.err)
		}
		if c.ip.String() != to {
			return c, fmt.Errorf("the name leads to %s, expected %s", c.ip, to)
		}
		return c, nil
	case <-ctx.Done():
		return change{}, fmt.Errorf("%w; the name server's answer did not change", context.Cause(ctx))
	}
}

// standby waits until enough visitors were met by the standby, and reads it.
func (p *play) standby(ctx context.Context) (string, error) {
	if err := p.meets(ctx, "visits to the standby", atStandby, crowdMoved); err != nil {
		return "", err
	}
	if err := p.visitor.readStandby(ctx); err != nil {
		return "", err
	}
	return "visitors read the status page (503 at the shop's names, 200 at its own); programs get a problem document", nil
}

// feature closes the checkout and reads that back over OFREP.
func (p *play) feature(ctx context.Context) (string, error) {
	if _, err := p.client.Pull(ctx, closeCheckout, ""); err != nil {
		return "", fmt.Errorf("pull %s: %w", closeCheckout, err)
	}
	if err := p.flagIs(ctx, false); err != nil {
		return "", err
	}
	return "the checkout is closed, read back over OFREP", nil
}

// flagIs asks over OFREP.
func (p *play) flagIs(ctx context.Context, want bool) error {
	open, err := flag(ctx, p.boat.at.OFREP)
	if err == nil && open != want {
		err = fmt.Errorf("over OFREP the checkout's flag is %t, expected %t", open, want)
	}
	return err
}

// repair brings the shop back, and asks its checkout by address: visitors are elsewhere.
func (p *play) repair(ctx context.Context) (string, error) {
	if err := p.boat.main.repair(ctx); err != nil {
		return "", err
	}
	open, err := p.visitor.checkoutAt(ctx, mainIP)
	if err != nil {
		return "", fmt.Errorf("ask the repaired shop: %w", err)
	}
	if open {
		return "", errors.New("the repaired shop, asked by its address, sells although its checkout is closed")
	}
	return "the shop runs again; asked by its address, it keeps its checkout closed", nil
}

var becauseWords = map[shop.Harm]string{
	shop.Kill:       "The shop was started again.",
	shop.Hang:       "Whatever held the shop has let go.",
	shop.BadRelease: "The release was taken back.",
}

// goBack starts the return and waits until its checks have passed and the name leads
// home.
func (p *play) goBack(ctx context.Context) (string, error) {
	p.crowd.outlooks.set(outlook{names: atStandby | atMain, visits: atStandby | atMain})
	changed, ready := p.crowd.resolver.watch(ctx, Host, netip.MustParseAddr(standbyIP), backPause, p.now)
	select {
	case <-ready:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	began := p.now()
	if _, err := p.client.GoBack(ctx, siteID, api.GoBackBody{Because: becauseWords[p.o.Case]}); err != nil {
		return "", fmt.Errorf("go back: %w", err)
	}
	if err := p.checks(ctx); err != nil {
		return "", err
	}
	c, err := led(ctx, changed, mainIP)
	if err != nil {
		return "", err
	}
	full, err := p.checksFull(ctx)
	if err != nil {
		return "", err
	}
	p.report.ReturnToDNSMS, p.report.BackToDNSMS = millis(c.at.Sub(began)), millis(c.at.Sub(full))
	return fmt.Sprintf("%s; %s later the name led home, %s after the press", p.report.ReturnChecks, words(p.report.BackToDNSMS), words(p.report.ReturnToDNSMS)), nil
}

// checks waits for the return's checks, and for the return to be complete.
func (p *play) checks(ctx context.Context) error {
	wait := p.tell.wait("checks at the real shop", 0)
	defer func() { wait.over() }()
	return p.await(ctx, func(s api.SiteView) (bool, string) {
		if s.Incident == nil || s.Incident.Return == nil {
			return false, "no return is under way"
		}
		r := s.Incident.Return
		p.report.ReturnChecks = Checks{Needed: r.Needed, Passed: r.Streak}
		total := 0
		for _, n := range r.Streak {
			total += n
		}
		if all := r.Needed * len(r.Streak); wait.ProgressBar != nil && wait.GetMax() != all && all > 0 {
			wait.over()
			wait = p.tell.wait("checks at the real shop", all)
		}
		wait.at(total)
		return s.Incident.Phase == incident.Watch, fmt.Sprintf("the incident is in its %s phase; checks passed: %s%s", s.Incident.Phase, p.report.ReturnChecks, held(r.Held))
	})
}

func held(why string) string {
	if why == "" {
		return ""
	}
	return "; held: " + why
}

// checksFull is when the last check had passed, by the timeline.
func (p *play) checksFull(ctx context.Context) (time.Time, error) {
	t, err := p.client.Timeline(ctx, p.incident)
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range t.Events {
		if e.Type == incident.StagePassed {
			return e.At, nil
		}
	}
	return time.Time{}, errors.New("the timeline does not say when the checks had passed")
}

// home waits until everybody is back, and lets somebody buy.
func (p *play) home(ctx context.Context) (string, error) {
	p.crowd.outlooks.set(outlook{names: atMain, visits: atMain})
	if err := p.flagIs(ctx, true); err != nil {
		return "", err
	}
	if err := p.meets(ctx, "visits to the shop", atMain, crowdMoved); err != nil {
		return "", err
	}
	order, err := p.visitor.buy(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("everybody is back, the checkout is open, and somebody has bought something (%s)", order), nil
}

// watch waits until the watch is over.
func (p *play) watch(ctx context.Context) (string, error) {
	wait := p.tell.wait("watching", 0)
	defer wait.over()
	err := p.await(ctx, func(s api.SiteView) (bool, string) {
		wait.at(0)
		if s.Incident == nil {
			return false, "no incident is open"
		}
		return s.Incident.Phase == incident.Review, fmt.Sprintf("the incident is in its %s phase", s.Incident.Phase)
	})
	return "the watch is over and the site is well", err
}

// close ends the incident with a reason and looks at its timeline.
func (p *play) close(ctx context.Context) (string, error) {
	if _, err := p.client.Close(ctx, siteID, "It was a play: nothing is to be learned from it."); err != nil {
		return "", fmt.Errorf("close: %w", err)
	}
	t, err := p.client.Timeline(ctx, p.incident)
	if err != nil {
		return "", err
	}
	if !t.Intact {
		return "", fmt.Errorf("the timeline was changed: %s", t.Broken)
	}
	p.report.TimelineEvents = len(t.Events)
	return fmt.Sprintf("closed, with %d events in the timeline", len(t.Events)), nil
}

// await looks at the site through the API until it is as wanted.
func (p *play) await(ctx context.Context, want func(api.SiteView) (done bool, seen string)) error {
	return until(ctx, lookEvery, func() (bool, string, error) {
		o, err := p.client.Status(ctx)
		if err != nil {
			return false, "", err
		}
		for _, s := range o.Sites {
			if s.ID == siteID {
				done, seen := want(s)
				return done, seen, nil
			}
		}
		return false, "", fmt.Errorf("lifeboat does not know the site %q", siteID)
	})
}

// seen is what is seen of a place.
func seen(s api.SiteView, place string) probe.Seen {
	for _, v := range s.Seen {
		if v.Place == place {
			return v.Seen
		}
	}
	return probe.Unknown
}

// meets waits until n more visits have ended at a place.
func (p *play) meets(ctx context.Context, what string, at where, n int) error {
	count := func() int {
		v, _ := p.crowd.counts()
		if at == atStandby {
			return v.Standby
		}
		return v.Main
	}
	from := count()
	wait := p.tell.wait(what, n)
	defer wait.over()
	return until(ctx, lookEvery, func() (bool, string, error) {
		met := count() - from
		wait.at(met)
		return met >= n, fmt.Sprintf("%d of %d visitors met %s", met, n, at), p.crowd.wrong()
	})
}
