// Package role holds the five roles: their order, and what each of them may do, in
// words.
//
// It does not say which command needs which role: the edges (api, web) do, with
// AtLeast. It is a leaf, so that accounts, tokens and the edges can share it, and
// imports only fault. Any package may import it.
//
// Invariants: each role may do all that the ones below it may. What is no role (the
// zero Role, one of a newer version) may do nothing, not even look.
//
// Concurrency: values only; Roles MUST NOT be changed.
package role

import (
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// Role says what somebody may do.
type Role string

// The roles, in rising order.
const (
	Viewer    Role = "viewer"
	Reporter  Role = "reporter"
	Operator  Role = "operator"
	Commander Role = "commander"
	Admin     Role = "admin"
)

// Roles are all roles, the one that may least first.
var Roles = []Role{Viewer, Reporter, Operator, Commander, Admin}

// may is a sentence or two on each.
var may = map[Role]string{
	Viewer:    "Looks at everything and changes nothing.",
	Reporter:  "Looks, says that something is wrong, pulls armed levers, writes notes, adds evidence and changes.",
	Operator:  "Does what a reporter does. Also works on possible causes, puts levers back, proposes, reads and begins fixes, goes back, calls a false alarm, and tells people.",
	Commander: "Does what an operator does. Also passes the guard rails of approval, return and end by override, parks levers, makes a place permanent, and closes.",
	Admin:     "Does what a commander does. Also manages accounts and tokens.",
}

// ParseRole reads a role's name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); r.Known() {
		return r, nil
	}
	var names []string
	for _, r := range Roles {
		names = append(names, string(r))
	}
	return "", fault.New(fault.Invalid, "there is no role %.32q", s).At("role").WithHint("choose one of: %s", strings.Join(names, ", "))
}

// Known says whether it is one of Roles.
func (r Role) Known() bool { return slices.Contains(Roles, r) }

// AtLeast says whether r may do all that least may.
func (r Role) AtLeast(least Role) bool {
	return r.Known() && least.Known() && slices.Index(Roles, r) >= slices.Index(Roles, least)
}

// May says what the role may do, in words for a person; "" for what is no role.
func (r Role) May() string { return may[r] }
