// Package fault holds the errors that cross an edge: what a person at a
// terminal, a form or an API client is told when something can't be done.
//
// It is not a logging or wrapping library. Inside a package plain errors with
// fmt.Errorf are used; a *fault.Error is made where the place and the remedy are
// known. Any package may import fault; fault imports nothing of ours.
//
// Concurrency: values are immutable after they are made.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says which family an error belongs to. Edges map it to exit codes and
// HTTP statuses; metrics use it as their only error label.
type Kind string

// The kinds. Internal is what an error without a kind counts as.
const (
	Invalid      Kind = "invalid"        // the caller's input is wrong: place and remedy are named
	NotFound     Kind = "not_found"      // no such thing
	Conflict     Kind = "conflict"       // somebody else changed it first; reading again helps
	Refused      Kind = "refused"        // a guard rail says no; see Refusal
	Denied       Kind = "denied"         // not signed in, or not allowed to
	Unavailable  Kind = "unavailable"    // a part we need does not answer; a retry can help
	NotSupported Kind = "not_in_version" // understood, but this version does not have it
	Internal     Kind = "internal"       // our own fault
)

// Error is one problem told to a person: where, what, and what to do next.
type Error struct {
	Kind  Kind
	Place string // file:line:column, a field, a flag; may be empty
	Text  string // lower case, no full stop
	Hint  string // the next step; may be empty
	Cause error  // may be nil
}

// New makes an Error of a kind.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// At names the place that the error is about and returns the error.
func (e *Error) At(place string) *Error { e.Place = place; return e }

// WithHint adds the next step and returns the error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Because adds the cause and returns the error.
func (e *Error) Because(err error) *Error { e.Cause = err; return e }

// Error is "place: text: cause (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Place != "" {
		b.WriteString(e.Place + ": ")
	}
	b.WriteString(e.Text)
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Refusal is a guard rail saying no: which rule, why, what would satisfy it, and
// whether a person may go on anyway (rule U9).
type Refusal struct {
	Rule        string `json:"rule"`              // R5, U1 ...
	Reason      string `json:"reason"`            // one sentence that a non-engineer can act on
	Satisfy     string `json:"satisfy"`           // what would lift the refusal, without a word of commands
	Command     string `json:"command,omitempty"` // the command that does it, for whoever types
	Overridable bool   `json:"overridable"`       // "do it anyway" with a reason is possible
}

// With names the command that does what would satisfy the rule.
func (r *Refusal) With(format string, args ...any) *Refusal {
	r.Command = fmt.Sprintf(format, args...)
	return r
}

func (r *Refusal) Error() string {
	s := fmt.Sprintf("refused by rule %s: %s %s", r.Rule, r.Reason, r.Satisfy)
	if r.Overridable {
		s += " You can do it anyway with a reason."
	}
	return s
}

// KindOf gives the kind of the outermost fault in err, Internal when there is
// none and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var r *Refusal
	if errors.As(err, &r) {
		return Refused
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
