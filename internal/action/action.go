// Package action does prepared acts of a fix: it runs one program, or posts one
// webhook, and tells what came of it.
//
// An act is named in the configuration, in calm, with how it is taken back. This
// package does it when the engine says so, once; it decides nothing, records
// nothing and tries nothing again. It is not a lever: what it changes is not
// observed here. Only the engine and control may import it.
//
// Invariants: no shell looks at a command; a program gets nothing of our
// environment and none of our files; Run ends soon after the deadline, whatever the
// program or the receiver does, and holds no more than MaxText of what they say.
//
// Concurrency: a Runner may be used from any goroutine.
package action

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/webhook"
)

// What may be done with an action.
const (
	Do   = "do"
	Undo = "undo"
)

// Limits on an action.
const (
	MaxText         = 64 << 10 // bytes of Output.Text
	MaxDeadline     = time.Hour
	ExecDeadline    = time.Minute      // of a program, where none is given
	WebhookDeadline = 10 * time.Second // of a webhook, where none is given
)

// Action is a prepared act: a program or a webhook.
type Action struct {
	Name     string
	Title    string // what it does, for the button
	Says     string // what it brings and costs, for a person
	Site     string
	Exec     []string // program and arguments; the program is a path, or a name in Path
	Webhook  *Webhook
	Deadline time.Duration // 0: ExecDeadline or WebhookDeadline
	Undo     *Action       // how it is taken back; nil: it can't be
}

// Webhook is where a POST goes.
type Webhook struct {
	URL    string
	Secret []byte // as webhook.Key reads it; none: it is not signed
}

// Input is what an act is told: as JSON on a program's standard input and as data
// of a webhook, and in a program's environment as LIFEBOAT_OPERATION and so on.
type Input struct {
	Operation string `json:"operation"` // Do or Undo
	Incident  string `json:"incident"`
	Fix       string `json:"fix"`
	Site      string `json:"site"`
	Action    string `json:"action"`
	Key       string `json:"key"` // the same when the same act is asked for again
}

// Output is what came of an act.
type Output struct {
	OK        bool          `json:"ok"`
	ExitCode  int           `json:"exit_code"` // of a program; -1: it has none
	Status    int           `json:"status"`    // of a webhook; 0: there was no answer
	Text      string        `json:"text"`      // what was said last: text and nothing else
	Truncated bool          `json:"truncated"` // more was said
	Took      time.Duration `json:"took"`
	Problem   string        `json:"problem"` // why it is not OK, for a person
	Unknown   bool          `json:"unknown"` // it was begun and not seen to end: it may have done all, some or nothing
}

// Check says what is wrong with an action, as fault Invalid whose Place is the
// field. It does not look whether the program is there.
func (a Action) Check() error {
	if a.Name == "" {
		return fault.New(fault.Invalid, "the action has no name").At("name")
	}
	if err := a.check(""); err != nil {
		return err
	}
	switch u := a.Undo; {
	case u == nil:
		return nil
	case u.Undo != nil:
		return fault.New(fault.Invalid, "what takes an action back can't be taken back itself").At("undo.undo").WithHint("do the action again")
	default:
		return u.check("undo.")
	}
}

func (a Action) check(place string) error {
	switch {
	case len(a.Exec) > 0 && a.Webhook != nil:
		return fault.New(fault.Invalid, "an action is a program or a webhook, not both").At(place + "webhook")
	case len(a.Exec) > 0:
		return a.checkExec(place)
	case a.Webhook == nil:
		return fault.New(fault.Invalid, "the action does nothing").At(place + "exec").WithHint("give it a program or a webhook")
	}
	if err := webhook.CheckURL(a.Webhook.URL); err != nil {
		return at(place+"webhook.url", err)
	}
	if _, err := webhook.Key(a.Webhook.Secret); err != nil {
		return at(place+"webhook.secret", err)
	}
	return a.checkDeadline(place)
}

func (a Action) checkExec(place string) error {
	program := a.Exec[0]
	switch {
	case program == "":
		return fault.New(fault.Invalid, "the program has no name").At(place + "exec")
	case strings.Contains(program, "/") && !filepath.IsAbs(program):
		return fault.New(fault.Invalid, "%q is not an absolute path", program).At(place+"exec").WithHint("begin with /, or write only the name of a program in %s", Path)
	case slices.ContainsFunc(a.Exec, func(word string) bool { return strings.Contains(word, "\x00") }):
		return fault.New(fault.Invalid, "a word of the command holds a zero byte").At(place + "exec")
	}
	return a.checkDeadline(place)
}

func (a Action) checkDeadline(place string) error {
	if a.Deadline < 0 || a.Deadline > MaxDeadline {
		return fault.New(fault.Invalid, "an action can't take %s", a.Deadline).At(place+"deadline").WithHint("use at most %s", MaxDeadline)
	}
	return nil
}

func at(place string, err error) error {
	if f, ok := err.(*fault.Error); ok {
		return f.At(place)
	}
	return err
}

// Options of a Runner; the zero value is usable.
type Options struct {
	Now    func() time.Time // time.Now
	Client *webhook.Client  // a new one
}

// Runner does actions.
type Runner struct{ o Options }

// New makes a Runner.
func New(o Options) *Runner {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = webhook.NewClient(webhook.Options{Now: o.Now})
	}
	return &Runner{o}
}

// Run does an action, or takes it back where in.Operation is Undo: then its Undo is
// what is done. It returns at the latest some seconds after the deadline or the end
// of ctx. Site and Action of the input are the action's where they are empty.
func (r *Runner) Run(ctx context.Context, a Action, in Input) Output {
	in.Site, in.Action = or(in.Site, a.Site), or(in.Action, a.Name)
	start := r.o.Now()
	out := r.run(ctx, a, in)
	out.Took = max(r.o.Now().Sub(start), 0)
	out.OK = out.Problem == ""
	return out
}

func (r *Runner) run(ctx context.Context, a Action, in Input) Output {
	act := &a
	switch in.Operation {
	case Do:
	case Undo:
		if act = a.Undo; act == nil {
			return refused("nothing was prepared that takes it back")
		}
	default:
		return refused("it is not known what to do with it: " + in.Operation)
	}
	if err := act.check(""); err != nil {
		return refused(err.Error())
	}
	if in.Key == "" {
		return refused("it was asked for without a key: doing it twice could not be told from doing it once")
	}
	if len(act.Exec) > 0 {
		return execute(ctx, *act, in)
	}
	return r.post(ctx, *act, in)
}

// refused is the outcome of what was not even begun.
func refused(problem string) Output { return Output{ExitCode: -1, Problem: problem} }

// post sends the webhook of an act, once.
func (r *Runner) post(ctx context.Context, a Action, in Input) Output {
	ctx, cancel := context.WithTimeout(ctx, orFor(a.Deadline, WebhookDeadline))
	defer cancel()
	key, err := webhook.Key(a.Webhook.Secret)
	if err != nil {
		return refused(err.Error())
	}
	body, err := webhook.Body("action."+in.Operation, r.o.Now(), in.json())
	if err != nil {
		return refused(err.Error())
	}
	id := webhook.ID(in.Key)
	answer, err := r.o.Client.Post(ctx, webhook.Call{URL: a.Webhook.URL, Key: key, ID: id, IdempotencyKey: id, Body: body})
	out := Output{ExitCode: -1, Status: answer.Status}
	out.Text, out.Truncated = text(answer.Text, answer.Truncated, false)
	if err != nil {
		out.Unknown = answer.Sent
	} else {
		err = answer.Err()
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func orFor(value, otherwise time.Duration) time.Duration {
	if value == 0 {
		return otherwise
	}
	return value
}
