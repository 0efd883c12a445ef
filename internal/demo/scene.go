package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// Waits between looks.
const (
	lookEvery  = 10 * time.Millisecond
	backPause  = 500 * time.Microsecond // between queries while the checks run: the error of what is measured
	crowdCalm  = 25                     // visits that are seen before the shop is broken
	crowdMoved = 50                     // visits that are seen at each end of the way
	fewErrors  = 3                      // visitors that meet nothing, until somebody notices
)

// What may be met: where the name leads, and whom visitors meet.
var (
	calm      = outlook{names: atMain, visits: atMain}
	unwell    = outlook{names: atMain, visits: atMain | nowhere}
	atSea     = outlook{names: atStandby, visits: atStandby}
	returning = outlook{names: atStandby | atMain, visits: atStandby | atMain}
)

// ready starts the shops and lifeboat.
func ready(ctx context.Context, p *play) (string, error) {
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

// rehearsal drills every lever.
func rehearsal(ctx context.Context, p *play) (said string, err error) {
	p.report.Drills, err = rehearse(ctx, p.client)
	return drillWords(p.report.Drills), err
}

// visitorsCome lets somebody buy, and everybody else come.
func visitorsCome(ctx context.Context, p *play) (string, error) {
	if err := p.flagIs(ctx, true); err != nil {
		return "", err
	}
	order, err := p.visitor.buy(ctx)
	if err != nil {
		return "", err
	}
	p.crowd.outlooks.set(calm)
	p.startLoad()
	if err := p.meets(ctx, "visits to the shop", atMain, crowdCalm); err != nil {
		return "", err
	}
	return fmt.Sprintf("somebody who knows only the name has bought something (%s); 50 visits and 500 queries a second go on", order), nil
}

// breaks breaks the shop and waits until that is seen; meanwhile visitors may meet what
// the outlook says.
func breaks(how string, meanwhile outlook) act {
	return func(ctx context.Context, p *play) (string, error) {
		p.crowd.outlooks.set(meanwhile)
		began := p.now()
		if err := p.boat.hurt(ctx, how); err != nil {
			return "", err
		}
		if err := p.mainIs(ctx, probe.Down); err != nil {
			return "", err
		}
		p.report.OutageSeenMS = p.since(began)
		return fmt.Sprintf("%s; seen down after %s", harmWords(how), words(p.report.OutageSeenMS)), nil
	}
}

// mainIs waits until main is seen like that.
func (p *play) mainIs(ctx context.Context, want probe.Seen) error {
	wait := p.tell.wait("until it is seen", 0)
	defer wait.over()
	return p.await(ctx, func(s api.SiteView) (bool, string) {
		wait.at(0)
		return seen(s, "main") == want, fmt.Sprintf("main is seen %s", seen(s, "main"))
	})
}

// homeIsUp waits until main is well by itself, with nobody there.
func homeIsUp(ctx context.Context, p *play) (string, error) {
	return "main is seen up again, and nobody has touched it", p.mainIs(ctx, probe.Up)
}

// mainRecovers waits until main is well, with its visitors still there.
func mainRecovers(ctx context.Context, p *play) (string, error) {
	began := p.now()
	if err := p.mainIs(ctx, probe.Up); err != nil {
		return "", err
	}
	p.crowd.outlooks.set(calm)
	if err := p.meets(ctx, "visits to the shop", atMain, crowdMoved); err != nil {
		return "", err
	}
	return fmt.Sprintf("visitors were never moved, and the shop is quick again after %s", words(p.since(began))), nil
}

// presses pulls the lever to the standby and takes the time until the first changed
// answer.
func presses(by who, lever string) act {
	return func(ctx context.Context, p *play) (string, error) {
		return p.leave(ctx, func() (api.Result, error) {
			res, err := p.as(by).Pull(ctx, lever, "")
			if err != nil {
				err = fmt.Errorf("pull %s: %w", lever, err)
			}
			return res, err
		}, p.name(by)+" pulled "+lever)
	}
}

// leave does what leads visitors to the standby, and watches the name meanwhile.
func (p *play) leave(ctx context.Context, press func() (api.Result, error), what string) (string, error) {
	now := p.crowd.outlooks.since(p.crowd.outlooks.now())
	p.crowd.outlooks.set(outlook{names: now.names | atStandby, visits: now.visits | atStandby})
	changed, err := p.watchName(ctx, mainIP, 0)
	if err != nil {
		return "", err
	}
	began := p.now()
	res, err := press()
	told := p.since(began)
	if err != nil {
		return "", err
	}
	p.incident = res.Incident.ID
	c, err := led(ctx, changed, standbyIP)
	if err != nil {
		return "", err
	}
	p.crowd.outlooks.set(atSea)
	p.away = true
	toDNS := millis(c.at.Sub(began))
	if p.report.PressToDNSMS == 0 { // of several presses the first counts
		p.report.PressToDNSMS, p.report.PressToDoneMS = toDNS, told
	}
	return fmt.Sprintf("%s; the name leads to the standby after %s; told so after %s", what, words(toDNS), words(told)), nil
}

// watchName watches the shop's name until it leads elsewhere than from.
func (p *play) watchName(ctx context.Context, from string, pause time.Duration) (<-chan change, error) {
	changed, ready := p.crowd.resolver.watch(ctx, Host, netip.MustParseAddr(from), pause, p.now)
	select {
	case <-ready:
		return changed, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
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

// standbyMet waits until enough visitors were met by the standby, and reads it. What
// visitors were told has to be there.
func standbyMet(told string) act {
	return func(ctx context.Context, p *play) (string, error) {
		if told == "" {
			if err := p.meets(ctx, "visits to the standby", atStandby, crowdMoved); err != nil {
				return "", err
			}
			if err := p.visitor.readStandby(ctx); err != nil {
				return "", err
			}
			return "visitors read the status page (503 at the shop's names, 200 at its own); programs get a problem document", nil
		}
		err := until(ctx, lookEvery, func() (bool, string, error) {
			page, err := p.visitor.ask(ctx, p.crowd.url(statusHost, "/"), nil, html)
			return strings.Contains(page.text, told), "the status page does not say: " + told, err
		})
		return "visitors read it on the status page: " + told, err
	}
}

// closesCheckout closes the checkout and reads that back over OFREP.
func closesCheckout(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		began := p.now()
		res, err := p.as(by).Pull(ctx, closeCheckout, "")
		if err != nil {
			return "", fmt.Errorf("pull %s: %w", closeCheckout, err)
		}
		if p.incident = res.Incident.ID; p.report.PressToDoneMS == 0 {
			p.report.PressToDoneMS = p.since(began)
		}
		return p.name(by) + " closed the checkout, read back over OFREP", p.flagIs(ctx, false)
	}
}

// flagIs asks over OFREP.
func (p *play) flagIs(ctx context.Context, want bool) error {
	open, err := flag(ctx, p.boat.at.OFREP)
	if err == nil && open != want {
		err = fmt.Errorf("over OFREP the checkout's flag is %t, expected %t", open, want)
	}
	return err
}

// checkoutStaysClosed asks the mended shop's checkout by address: visitors are elsewhere.
func checkoutStaysClosed(ctx context.Context, p *play) (string, error) {
	status, _, err := p.visitor.pageAt(ctx, mainIP, "/checkout")
	if err != nil {
		return "", fmt.Errorf("ask the mended shop: %w", err)
	}
	if status != http.StatusServiceUnavailable {
		return "", errors.New("the mended shop, asked by its address, sells although its checkout is closed")
	}
	return "the shop runs again; asked by its address, it keeps its checkout closed", nil
}

// goesBackNow starts the return, and waits for nothing.
func goesBackNow(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		_, err := p.as(by).GoBack(ctx, siteID, api.GoBackBody{})
		return p.name(by) + " starts the return", err
	}
}

// goesBack starts the return and waits until its checks have passed and visitors are
// on their way home.
func goesBack(by who, because string) act {
	return func(ctx context.Context, p *play) (string, error) {
		var changed <-chan change
		if p.away {
			var err error
			if changed, err = p.watchName(ctx, standbyIP, backPause); err != nil {
				return "", err
			}
			p.crowd.outlooks.set(returning)
		}
		began := p.now()
		if _, err := p.as(by).GoBack(ctx, siteID, api.GoBackBody{Because: because}); err != nil {
			return "", fmt.Errorf("go back: %w", err)
		}
		if err := p.checks(ctx); err != nil {
			return "", err
		}
		said := fmt.Sprintf("%s starts the return; %s", p.name(by), p.report.ReturnChecks)
		if !p.away {
			return said, nil
		}
		return p.arrive(ctx, changed, began, said)
	}
}

// arrive takes the time until the name leads home.
func (p *play) arrive(ctx context.Context, changed <-chan change, began time.Time, said string) (string, error) {
	c, err := led(ctx, changed, mainIP)
	if err != nil {
		return "", err
	}
	full, err := p.checksFull(ctx)
	if err != nil {
		return "", err
	}
	p.away = false
	p.report.ReturnToDNSMS, p.report.BackToDNSMS = millis(c.at.Sub(began)), millis(c.at.Sub(full))
	return fmt.Sprintf("%s; %s later the name led home, %s after the press", said, words(p.report.BackToDNSMS), words(p.report.ReturnToDNSMS)), nil
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
		return s.Incident.Phase == incident.Watch, fmt.Sprintf("the incident is at %s; checks passed: %s%s", s.Incident.Phase.Words(), p.report.ReturnChecks, held(r.Held))
	})
}

func held(why string) string {
	if why == "" {
		return ""
	}
	return "; held: " + why
}

// checksFull is when the last check of the newest return had passed, by the timeline.
func (p *play) checksFull(ctx context.Context) (time.Time, error) {
	t, err := p.client.Timeline(ctx, p.incident)
	if err != nil {
		return time.Time{}, err
	}
	for i := len(t.Events) - 1; i >= 0; i-- {
		if t.Events[i].Type == incident.StagePassed {
			return t.Events[i].At, nil
		}
	}
	return time.Time{}, errors.New("the timeline does not say when the checks had passed")
}

// fallsIllAgain waits until visitors who are back meet nothing.
func fallsIllAgain(ctx context.Context, p *play) (string, error) {
	p.crowd.outlooks.set(unwell)
	from, _ := p.crowd.counts()
	began := p.now()
	err := until(ctx, lookEvery, func() (bool, string, error) {
		v, _ := p.crowd.counts()
		return v.Errors-from.Errors >= fewErrors, fmt.Sprintf("%d visitors met nothing", v.Errors-from.Errors), p.crowd.wrong()
	})
	return fmt.Sprintf("%s after everybody was back, visitors meet nothing again", words(p.since(began))), err
}

// stepsBack goes back to safety. When the checks have said so first, the incident is at
// its first step again, and the lever is pulled as at the beginning.
func stepsBack(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		how := p.name(by) + " pressed Go back to safety"
		return p.leave(ctx, func() (api.Result, error) {
			res, err := p.as(by).StepBack(ctx, siteID)
			if fault.KindOf(err) == fault.Conflict {
				res, err = p.as(by).Pull(ctx, toStandby, "")
			}
			return res, err
		}, how)
	}
}

// putsBack puts the lever back and waits until the name leads home.
func putsBack(by who, lever string) act {
	return func(ctx context.Context, p *play) (string, error) {
		changed, err := p.watchName(ctx, standbyIP, 0)
		if err != nil {
			return "", err
		}
		p.crowd.outlooks.set(returning)
		began := p.now()
		if _, err := p.as(by).PutBack(ctx, lever, ""); err != nil {
			return "", fmt.Errorf("put %s back: %w", lever, err)
		}
		c, err := led(ctx, changed, mainIP)
		if err != nil {
			return "", err
		}
		p.away = false
		p.report.PutBackToDNSMS = millis(c.at.Sub(began))
		return fmt.Sprintf("%s put %s back; the name leads home after %s", p.name(by), lever, words(p.report.PutBackToDNSMS)), nil
	}
}

// everybodyHome waits until everybody is back, and lets somebody buy.
func everybodyHome(ctx context.Context, p *play) (string, error) {
	p.crowd.outlooks.set(calm)
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
	return fmt.Sprintf("everybody is at the shop, the checkout is open, and somebody has bought something (%s)", order), nil
}

// watched waits until the watch is over.
func watched(ctx context.Context, p *play) (string, error) {
	wait := p.tell.wait("watching", 0)
	defer wait.over()
	again := ""
	err := p.await(ctx, func(s api.SiteView) (bool, string) {
		wait.at(0)
		if s.Incident == nil {
			return false, "no incident is open"
		}
		if f, found := s.Incident.LastFix(); found && f.Again != "" {
			again = fmt.Sprintf("; with everybody back, what %s promised was measured again: %s", f.ID, f.Again)
		}
		return s.Incident.Phase == incident.Review, "the incident is at " + s.Incident.Phase.Words()
	})
	return "the watch is over and the site is well" + again, err
}

// await looks at the site through the API until it is as wanted.
func (p *play) await(ctx context.Context, want func(api.SiteView) (done bool, seen string)) error {
	return await(ctx, p.client, want)
}

func await(ctx context.Context, c *apiclient.Client, want func(api.SiteView) (done bool, seen string)) error {
	return until(ctx, lookEvery, func() (bool, string, error) {
		o, err := c.Status(ctx)
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
