// Package feature holds flags that are switches: a key, an explicit value, an
// explicit off value, what it means to people, and, where a flag is not the same
// for everybody, a rule that names one of its variants.
//
// Rules are flagd's: JsonLogic with fractional, sem_ver, starts_with and ends_with,
// coerced as in JavaScript, so that a rule means here what it means there. It is
// not an experiment platform: nothing is counted, nothing is learned.
//
// It is pure and is evaluated by ofrep. Words are OpenFeature's.
//
// Invariants: a flag always comes to an explicit value, one that somebody wrote
// down; an order wins over every rule; a rule is checked when it is read, runs for a
// bounded number of steps, and where it fails the flag has its calm value.
//
// Concurrency: flags and orders are values; a Prepared is immutable and may be
// evaluated from any goroutine.
package feature

import "encoding/json"

// Flag is a switch as configuration gives it.
type Flag struct {
	Key         string                     `json:"key"`
	Value       json.RawMessage            `json:"value"`           // in calm: the variant "on"
	Off         json.RawMessage            `json:"off"`             // when its lever is pulled; always explicit: the variant "off"
	Says        string                     `json:"says,omitempty"`  // what it means for people that it is off
	Owner       string                     `json:"owner,omitempty"` // whom to ask about it
	CodeDefault json.RawMessage            `json:"code_default,omitempty"`
	Variants    map[string]json.RawMessage `json:"variants,omitempty"`  // what a rule may name besides on and off
	Targeting   json.RawMessage            `json:"targeting,omitempty"` // a rule without $ref; none: the same for everybody
	Public      bool                       `json:"public,omitempty"`    // whether pages in browsers may see it
}

// Order is a value that a person ordered for a flag; it wins over the flag's own. While
// its lever goes back in stages, Share percent of those who ask have the flag's own
// again: who is in stays in as the share grows. A Share beyond 0 to 100 counts as 0.
type Order struct {
	Value    json.RawMessage `json:"value"`
	Lever    string          `json:"lever"`
	Incident string          `json:"incident"`
	By       string          `json:"by,omitempty"`
	Since    string          `json:"since,omitempty"` // RFC 3339
	Share    int             `json:"share,omitempty"` // percent; 0: the value is everybody's
}
