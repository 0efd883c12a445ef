// Package lever says what a reversible move is: the contract of drivers, the
// plan that holds the way back, what the world can be seen as.
//
// It is not the engine (which records and calls drivers) and knows no rule about
// when a lever may be pulled (package incident). Drivers live in folders below
// and import this package, fault, and zone or feature; never the engine. Those that
// move what somebody else keeps are Things of package outside, which is a driver.
//
// Concurrency: a Driver's methods may be called from any goroutine; the engine
// never runs two steps of one lever at once.
package lever

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Class says how far a move can be taken back.
type Class string

// The classes, from exact to never (R4 is never offered while failing over).
const (
	R0 Class = "exact"        // a flag, a DNS record, a balancer's state
	R1 Class = "meanwhile"    // reversible, but things happen meanwhile
	R2 Class = "conflicts"    // reversible with possible conflicts
	R3 Class = "compensating" // can only be made good
	R4 Class = "irreversible"
)

// Capabilities are what a driver says of itself, as a value.
type Capabilities struct {
	Class       Class         `json:"class"`
	Latency     time.Duration `json:"latency"` // typical, until observed from outside
	Rights      []string      `json:"rights,omitempty"`
	SideEffects []string      `json:"side_effects,omitempty"` // plain words
	Reach       string        `json:"reach,omitempty"`        // how long until everybody has it, a sentence; "" where the engine knows
}

// Card is a lever as configuration gives it.
type Card struct {
	Name   string          `json:"name"`
	Kind   string          `json:"kind"` // of the driver: zone, feature, flagd ...
	Title  string          `json:"title"`
	Says   string          `json:"says,omitempty"` // the effect on visitors
	Site   string          `json:"site"`
	To     string          `json:"to,omitempty"` // where it leads, in words; "" where Config says it in one word
	Config json.RawMessage `json:"config"`       // the driver's own section
}

// Request is what Plan is asked for.
type Request struct {
	Card  Card
	Drill bool // move the shadow, never a production name
	Now   time.Time
}

// Step is one act of a plan.
type Step struct {
	Name   string          `json:"name"`
	Says   string          `json:"says"`
	Before json.RawMessage `json:"before"` // exact, read before the change
	After  json.RawMessage `json:"after"`
	From   string          `json:"from,omitempty"` // Before in a few words; "" where Before is a word itself
	To     string          `json:"to,omitempty"`   // After, the same
}

// Plan holds all that Apply and Revert need. It is stored before Apply.
type Plan struct {
	Lever   string          `json:"lever"`
	Kind    string          `json:"kind"`
	Target  string          `json:"target"` // the resource that is moved: one lever a resource
	Steps   []Step          `json:"steps"`
	Hash    string          `json:"hash"`
	Expires time.Time       `json:"expires"`
	Drill   bool            `json:"drill,omitempty"`
	Config  json.RawMessage `json:"config,omitempty"`
}

// Token fences a write: the writer's revision, and the pull it belongs to. A
// target that has seen a newer token refuses an older one.
type Token struct {
	Revision uint64 `json:"revision"`
	Pull     string `json:"pull"`
	By       string `json:"by"`
	Incident string `json:"incident"`
}

// World is what Observe found.
type World string

// What the world can look like beside a plan's step.
const (
	Before  World = "before"
	After   World = "after"
	Partial World = "partial"
	Foreign World = "foreign" // somebody else changed it
	Gone    World = "gone"    // there is no way back any more: what was taken away was given up
	Unknown World = "unknown"
)

// Observation is the world as read from outside, with who said what.
type Observation struct {
	World  World     `json:"world"`
	Detail string    `json:"detail"`
	Seen   []Sighted `json:"seen,omitempty"`
	At     time.Time `json:"at"`
}

// Sighted is one witness of an Observation: a name server, an endpoint.
type Sighted struct {
	Witness string `json:"witness"`
	World   World  `json:"world"`
	Value   string `json:"value"`
}

// Readiness is what Preflight found in calm.
type Readiness struct {
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems,omitempty"` // each ends with the next step
}

// Direction of a step.
type Direction string

// The directions.
const (
	There Direction = "there"
	Back  Direction = "back"
)

// Driver moves one kind of thing and puts it back.
//
// Apply and Revert MUST be idempotent on (plan, step, direction). Observe MUST
// ask from outside, as a visitor would, and MUST NOT trust a value in memory. An
// unclear outcome is World Unknown, never an error that invites a retry. A
// driver MUST respect ctx's deadline. Revert compares first: a world that is
// neither After nor Before comes back as an Observation Foreign, not an error.
type Driver interface {
	Kind() string
	Capabilities() Capabilities
	Preflight(ctx context.Context, c Card) (Readiness, error)
	Plan(ctx context.Context, r Request) (Plan, error)
	Apply(ctx context.Context, p Plan, step int, t Token) error
	Observe(ctx context.Context, p Plan, step int) (Observation, error)
	Verify(ctx context.Context, p Plan, d Direction) (Observation, error)
	Revert(ctx context.Context, p Plan, step int, t Token) (Observation, error)
	Dispose(ctx context.Context, p Plan) error
}

// Sharer is a Driver that can put back by shares: some of the visitors are as before the
// plan while the lever still holds for the rest.
type Sharer interface {
	Driver
	// CanShare says whether this plan's way back can go by shares.
	CanShare(p Plan) bool
	// Share orders that percent of the visitors, 1 to 99, are as before the step. A larger
	// share keeps whoever was in a smaller one. It MUST be idempotent; Apply ends it with
	// the lever in force for everybody, Revert with everybody back.
	Share(ctx context.Context, p Plan, step, percent int, t Token) error
}

// ErrUnsure is in the chain of an Apply or Revert error after which it is not known
// whether the target took the write: it was sent, and no word came back. The engine
// looks, and does not repeat it.
var ErrUnsure = errors.New("it is not known whether it was taken")

// Shadowed is a Driver some of whose levers have nothing that a drill could move: in
// somebody else's system nothing is made up. A drill of such a lever looks and plans
// only, and says so.
type Shadowed interface {
	Driver
	// HasShadow says whether the card declares what a drill moves.
	HasShadow(c Card) bool
}

// Orders is how a driver changes our own zones and features; the engine
// implements it. Each call returns once the answer process has acknowledged the
// manifest that carries the order, or with a *fault.Error of kind Unavailable.
type Orders interface {
	// Position is where the site (or its shadow) is ordered to be.
	Position(ctx context.Context, site string) (string, error)
	// Move orders the site to a position. It is refused with kind Conflict when a newer
	// token has moved the site since.
	Move(ctx context.Context, site, position string, t Token) error
	// Share sends about percent of those who ask to another position than the one that
	// the site is at, by their resolver's network; 0 ends it, and so does any Move. The
	// limits are 0 and 99: all of them are a Move.
	Share(ctx context.Context, site, position string, percent int, t Token) error
	// Shared is the share that is ordered; percent is 0 where there is none.
	Shared(ctx context.Context, site string) (position string, percent int, err error)
	// Flag is the value ordered for a flag, nil when it has its own.
	Flag(ctx context.Context, key string) (json.RawMessage, error)
	// SetFlag orders a value for a flag; nil takes the order back.
	SetFlag(ctx context.Context, key string, value json.RawMessage, t Token) error
	// ShareFlag lets percent (0 to 100) of those who ask have the flag's own value
	// again, although another is ordered: 0 takes that back, SetFlag ends it. It is
	// refused with kind Conflict where nothing is ordered for the flag.
	ShareFlag(ctx context.Context, key string, percent int, t Token) error
}
