package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lifeboat/internal/apiclient"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/supervise"
)

// PlayOptions are what a play is started with; the zero value plays the case "kill"
// in a folder and at ports of its own.
type PlayOptions struct {
	Binary           string // what to start the children from; this program if empty
	Data             string // kept when given; else a folder of its own, removed at the end
	Out              string // folder for the post-mortem; Data, or UsualData, if empty
	HTTP, DNS, OFREP string // free ports of the loopback network if empty

	Case     string    // the name of one of Cases; kill if empty
	Progress io.Writer // one line a step; nowhere if nil
	Terminal bool      // Progress is a terminal: waits are shown as bars
	Now      func() time.Time

	// Sabotage is called before each step; tests break something there.
	Sabotage func(step string, pids supervise.PIDs)

	standbyIP string // where the standby listens, against the configuration; tests only
}

func (o PlayOptions) withDefaults() PlayOptions {
	for _, addr := range []*string{&o.HTTP, &o.DNS, &o.OFREP} {
		if *addr == "" {
			*addr = "127.0.0.1:0"
		}
	}
	if o.Case == "" {
		o.Case = "kill"
	}
	if o.Out == "" {
		if o.Out = o.Data; o.Out == "" {
			o.Out = UsualData
		}
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sabotage == nil {
		o.Sabotage = func(string, supervise.PIDs) {}
	}
	return o
}

// StepError is a play that did not come to its end.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("the step %q failed: %v", e.Step, e.Err) }

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Play plays a case: it breaks a sample site, brings its visitors to safety, finds the
// cause, mends it, brings the visitors back and writes it down, under load and with
// two people, and tells what it measured. Everything that it started has ended when it
// returns. The error is a *StepError, or a fault.Invalid for an unknown case; the
// report holds what was measured until then.
func Play(ctx context.Context, o PlayOptions) (*Report, error) {
	o = o.withDefaults()
	c, err := findCase(o.Case)
	if err != nil {
		return nil, err
	}
	p := &play{o: o, story: c, now: o.Now, report: &Report{Case: c.Name}, crew: map[who]hand{}, bodies: map[string]string{}}
	p.tell = teller{w: o.Progress, terminal: o.Terminal, now: o.Now, began: o.Now()}
	err = p.run(ctx)
	p.report.OK = err == nil
	var step *StepError
	if errors.As(err, &step) {
		p.report.FailedStep, p.report.Failure = step.Step, step.Err.Error()
	}
	return p.report, err
}

// play is one play under way.
type play struct {
	o      PlayOptions
	story  Case
	now    func() time.Time
	tell   teller
	report *Report

	boat     *boat
	client   *apiclient.Client // lifeboat's owner, who plays no part but to look
	crew     map[who]hand
	crowd    *crowd
	visitor  *visitor
	stopLoad func() // waits for the load to end

	incident string
	away     bool              // visitors are at the standby
	named    []string          // what the write-up has to tell of
	bodies   map[string]string // of evidence that was read, by its id
	rows     desk.Kept         // the plan of rows that are to leave
}

// act is what one step does; it says in a sentence what came of it.
type act func(ctx context.Context, p *play) (said string, err error)

// step is one step of a case.
type step struct {
	name string
	do   act
}

// stepTime is how long a step may take.
const stepTime = time.Minute

// run plays every step and clears up whatever comes.
func (p *play) run(ctx context.Context) error {
	folder, clear, err := p.folder()
	if err != nil {
		return &StepError{"ready", err}
	}
	p.o.Data = folder
	failed := p.steps(ctx)
	if failed != nil {
		p.lastWords()
	}
	said, err := p.clear(clear)
	if failed != nil {
		return failed
	}
	if err != nil {
		p.tell.line("✗", "end", err.Error())
		return &StepError{"end", err}
	}
	p.tell.line("✓", "end", said)
	return nil
}

// folder gives the play's folder, and what removes it.
func (p *play) folder() (path string, clear func() error, err error) {
	if p.o.Data != "" {
		return p.o.Data, func() error { return nil }, nil
	}
	path, err = os.MkdirTemp("", "lifeboat-demo-")
	return path, func() error { return os.RemoveAll(path) }, err
}

// maxWords is how much of the log is told after a failure, in bytes.
const maxWords = 4 << 10

// lastWords tells the end of the log, which may be removed with the folder.
func (p *play) lastWords() {
	text, err := os.ReadFile(filepath.Join(p.o.Data, logName))
	if err != nil || len(text) == 0 {
		return
	}
	if len(text) > maxWords {
		_, text, _ = bytes.Cut(text[len(text)-maxWords:], []byte("\n"))
	}
	_, _ = fmt.Fprintf(p.o.Progress, "the end of the log:\n%s", text) // nobody reads: nothing to be done
}

// clear ends the load, lifeboat and the shops, and looks at the counts once more.
func (p *play) clear(removeFolder func() error) (string, error) {
	if p.stopLoad != nil {
		p.stopLoad()
		p.report.Visits, p.report.DNS = p.crowd.counts()
		p.report.StandbyRequests = p.report.Visits.Standby
	}
	var failed error
	if p.boat != nil {
		failed = p.boat.stop()
	}
	if p.crowd != nil {
		failed = errors.Join(failed, p.crowd.wrong())
	}
	return "everything that was started has ended", errors.Join(failed, removeFolder())
}

// steps plays the steps in order, each within its time; the first that fails ends
// the play.
func (p *play) steps(ctx context.Context) error {
	for _, s := range p.story.steps {
		if err := p.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) step(ctx context.Context, s step) error {
	if p.boat != nil {
		p.o.Sabotage(s.name, p.boat.at.PID)
	}
	began := p.now()
	ctx, cancel := context.WithTimeoutCause(ctx, stepTime, fmt.Errorf("it was not over after %s", stepTime))
	defer cancel()
	said, err := s.do(ctx, p)
	if err == nil && p.crowd != nil {
		err = p.crowd.wrong()
	}
	if err != nil {
		p.tell.line("✗", s.name, err.Error())
		return &StepError{s.name, err}
	}
	p.report.Steps = append(p.report.Steps, Step{Name: s.name, MS: p.since(began), Said: said})
	p.tell.line("✓", s.name, said)
	return nil
}

// since is the time from then to now in milliseconds.
func (p *play) since(then time.Time) float64 { return millis(p.now().Sub(then)) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// until looks again and again until it is done; when the time is up, the error says
// what was seen last.
func until(ctx context.Context, every time.Duration, look func() (done bool, seen string, err error)) error {
	for {
		done, seen, err := look()
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case done && err == nil:
			return nil
		}
		rest(ctx, every)
		if ctx.Err() != nil {
			if seen == "" {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w; seen last: %s", context.Cause(ctx), seen)
		}
	}
}

// startLoad lets visitors come until stopLoad.
func (p *play) startLoad() {
	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup
	load.Go(func() { p.crowd.run(ctx) }) // ends with stopLoad
	p.stopLoad = func() { stop(); load.Wait() }
}
