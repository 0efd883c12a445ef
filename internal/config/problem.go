package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// maxProblems is how many problems are told at once; more would scroll away.
const maxProblems = 20

// Problems is everything found wrong in one file, in the order of its lines.
type Problems struct {
	List []*fault.Error // at most 20
	More int            // how many others there were
}

// Error is one problem a line.
func (p *Problems) Error() string {
	lines := make([]string, 0, len(p.List)+1)
	for _, e := range p.List {
		lines = append(lines, e.Error())
	}
	if p.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", p.More))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems to errors.Is and errors.As.
func (p *Problems) Unwrap() []error {
	list := make([]error, len(p.List))
	for i, e := range p.List {
		list[i] = e
	}
	return list
}

// position is a place in the file; lines and columns count from 1, columns in
// characters.
type position struct{ line, col int }

// mark is a problem or a warning and where it is.
type mark struct {
	at  position
	err *fault.Error
}

// report collects what is found while a file is read.
type report struct {
	file     string
	problems []mark
	warnings []mark
}

// problem notes something that makes the file unusable. The caller may add a hint.
func (r *report) problem(kind fault.Kind, at position, format string, args ...any) *fault.Error {
	e := fault.New(kind, format, args...).At(r.place(at))
	r.problems = append(r.problems, mark{at, e})
	return e
}

func (r *report) invalid(at position, format string, args ...any) *fault.Error {
	return r.problem(fault.Invalid, at, format, args...)
}

// later refuses what a later version has.
func (r *report) later(at position, what string) *fault.Error {
	return r.problem(fault.NotSupported, at, "%s is not in this version", what)
}

// warn notes something that a person should look at. The caller adds a hint.
func (r *report) warn(at position, format string, args ...any) *fault.Error {
	e := fault.New(fault.Invalid, format, args...).At(r.place(at))
	r.warnings = append(r.warnings, mark{at, e})
	return e
}

func (r *report) place(at position) string {
	return fmt.Sprintf("%s:%d:%d", r.file, max(at.line, 1), max(at.col, 1))
}

// err gives all problems as one error, nil when there are none.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	inOrder(r.problems)
	p := &Problems{More: max(0, len(r.problems)-maxProblems)}
	for _, m := range r.problems[:len(r.problems)-p.More] {
		p.List = append(p.List, m.err)
	}
	return p
}

// lines gives all warnings as text.
func (r *report) lines() []string {
	inOrder(r.warnings)
	var out []string
	for _, m := range r.warnings {
		out = append(out, m.err.Error())
	}
	return out
}

func inOrder(marks []mark) {
	slices.SortStableFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.col, b.at.col))
	})
}
