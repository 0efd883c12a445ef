// Package card is the emergency card: what somebody needs on paper in the night on which
// nothing else can be opened. The page at /card and `lifeboat card` show the same one.
//
// It holds no secret, asks nobody, and knows no screen: what is on it is handed in, and
// the lines to be filled in by hand stay empty on purpose. The pages and the command line
// import it.
package card

import (
	"cmp"
	"slices"
)

// Card is one emergency card.
type Card struct {
	Console     string // where people reach lifeboat; "" where nobody said
	Address     string // the same by address
	Fingerprint string // SHA-256 of the certificate that is shown by address; "" without one
	Sites       []Site
	People      []Person // whom to call, in this order
}

// Site is one site, and what leads its visitors to safety.
type Site struct {
	Title  string
	Names  []string
	Levers []Lever
}

// Lever is a lever as it is pulled from a machine.
type Lever struct {
	Name, Title, Says string
	Armed             bool
}

// Person is somebody who can be called.
type Person struct{ Name, Phone, Says string }

// Step is one thing to do, and the command that does it; several may have none.
type Step struct{ Say, Command string }

// Steps are the way through, in order.
func (c Card) Steps() []Step {
	lever := "LEVER"
	for _, s := range c.Sites {
		if len(s.Levers) > 0 {
			lever = s.Levers[0].Name
			break
		}
	}
	return []Step{
		{"Open the page and press “Something is wrong”. You need not know why, and cannot break anything: every first step can be taken back.", "lifeboat declare"},
		{"Answer the question, and press the button. Visitors are looked after within minutes.", "lifeboat pull " + lever},
		{"Call somebody from the list. Two see more than one.", ""},
		{"Touch nothing else. Don’t deploy, don’t restart: first find out what happened.", "lifeboat status"},
	}
}

// Otherwise is what to do where the steps can't be done.
func (c Card) Otherwise() []Step {
	return []Step{
		{"The name does not open: open it by its address, and compare the fingerprint with the one below before you type a password.", ""},
		{"The page does not open at all: sign in on lifeboat’s machine, where no password is asked.", "lifeboat status"},
		{"Control is down: pull the lever where it is answered. It is in force at once and written down later.", "lifeboat answer pull LEVER"},
		{"The app for codes or the passkey is lost: use a recovery code.", ""},
	}
}

// Blanks are the lines that somebody fills in by hand, since no program should know them.
func (c Card) Blanks() []string {
	return []string{"The recovery codes are kept", "lifeboat’s machine, and who may sign in there", "This card was printed, by"}
}

// Sorted puts the levers that are armed first.
func Sorted(levers []Lever) []Lever {
	out := slices.Clone(levers)
	slices.SortStableFunc(out, func(a, b Lever) int {
		return cmp.Compare(map[bool]int{true: 0, false: 1}[a.Armed], map[bool]int{true: 0, false: 1}[b.Armed])
	})
	return out
}
