package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// The exit codes. They are promised.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3 // by a guard rail
	exitNotFound    = 4
	exitUnreachable = 5
)

// usageError is a command line that was not understood.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// silent is an error that has been told already, or needs no words: only its exit
// code counts.
type silent struct{ code int }

func (e silent) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// failed makes an error count as "failed", whatever its kind: a file that was checked
// and is wrong is no wrong command line.
type failed struct{ error }

func (e failed) Unwrap() error { return e.error }

// exit tells what went wrong, and gives the exit code.
func (a *app) exit(cmd *cobra.Command, err error) int {
	var quiet silent
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &quiet):
		return quiet.code
	case errors.Is(err, context.Canceled):
		a.tell("lifeboat: stopped\n")
		return exitFailed
	}
	var u *usageError
	if !a.entered || errors.As(err, &u) {
		a.tell("lifeboat: %v\n  usage: %s\n  next: %s --help\n", err, cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	}
	a.explain(err)
	return codeOf(err)
}

// stepOf is the command that leads on from a refusal that names none itself.
var stepOf = map[string]string{
	incident.R3.ID: "lifeboat levers", incident.R5.ID: "lifeboat status", incident.R8.ID: "lifeboat fix propose",
	incident.R9.ID:  "lifeboat fix approve, by somebody else; or lifeboat fix go-alone --reason \"why\", then lifeboat fix begin --wait",
	incident.R10.ID: "lifeboat fix list", incident.R11.ID: "lifeboat handover offer lead --to NAME", incident.R12.ID: "lifeboat fix list", incident.R13.ID: "lifeboat status --watch",
	incident.R15.ID: "lifeboat levers", incident.R17.ID: "lifeboat status",
}

// explain tells what went wrong, and the next step.
func (a *app) explain(err error) {
	var refusal *fault.Refusal
	var found failed
	var f *fault.Error
	switch {
	case errors.As(err, &refusal):
		a.tell("Refused by rule %s: %s\n  what would satisfy it: %s\n", refusal.Rule, refusal.Reason, refusal.Satisfy)
		if step := cmp.Or(refusal.Command, stepOf[refusal.Rule]); step != "" {
			a.tell("  next: %s\n", step)
		}
		if refusal.Overridable {
			a.tell("  or do it anyway, with one sentence why: --reason \"…\"\n")
		}
	case errors.As(err, &found): // one problem a line, each with its place and remedy
		a.tell("%v\n", found)
	case errors.As(err, &f):
		short := *f
		short.Place, short.Hint = "", ""
		if f.Place != "" {
			a.tell("lifeboat: %s: %s\n", f.Place, short.Error())
		} else {
			a.tell("lifeboat: %s\n", short.Error())
		}
		if f.Hint != "" {
			a.tell("  next: %s\n", f.Hint)
		}
	default:
		a.tell("lifeboat: %v\n", err)
	}
}

func codeOf(err error) int {
	var f failed
	if errors.As(err, &f) {
		return exitFailed
	}
	if errors.Is(err, apiclient.ErrUnreachable) {
		return exitUnreachable
	}
	switch fault.KindOf(err) {
	case fault.Refused:
		return exitRefused
	case fault.NotFound:
		return exitNotFound
	case fault.Invalid:
		return exitUsage
	}
	return exitFailed
}
