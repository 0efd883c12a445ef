package engine

import (
	"context"
	"io"
	"lifeboat/internal/capture"
	"lifeboat/internal/evidence"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/lever"
	"lifeboat/internal/outbox"
	"lifeboat/internal/store"
)

// Bodies keeps the bodies of evidence by their hash; evidence.Folder is one.
type Bodies interface {
	Put(r io.Reader, most int64) (evidence.Blob, error)
	Get(sha256 string) (io.ReadSeekCloser, int64, error)
	Remove(sha256 string) error
}

// Ledger is the book of changes; ledger.Book is one.
type Ledger interface {
	Add(ctx context.Context, c ledger.Change) (kept ledger.Change, added bool, err error)
	List(ctx context.Context, q ledger.Query) ([]ledger.Change, error)
}

// Outbox holds what goes out to others; outbox.Box is one.
type Outbox interface {
	Write(m outbox.Message) store.Write
	Queue(ctx context.Context) ([]outbox.Message, error)
	Retry(ctx context.Context, id string) error
	Drop(ctx context.Context, id string) error
}

// Act is a prepared act for a fix, as the engine knows it; Run runs it by its name.
type Act struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Says  string `json:"says,omitempty"`
	Site  string `json:"site"`
	Undo  bool   `json:"undo"` // how it is taken back is declared
}

// Channel is who is told what.
type Channel struct {
	Name  string
	Tells []string // public, staff, leaders, incident
}

// Job is one run of a prepared act.
type Job struct {
	Action, Incident, Fix, Site, Key string
	Undo                             bool
}

// Ran is what a prepared act came to.
type Ran struct {
	OK     bool
	Detail string // why not, in a sentence
	Output string
}

// Company is what the engine is given beside its store and its drivers. Each part may
// be missing: then what needs it says so, and everything else goes on.
type Company struct {
	Bodies   Bodies
	Ledger   Ledger
	Outbox   Outbox
	Channels []Channel
	Acts     []Act
	Run      func(ctx context.Context, j Job) Ran
	Others   func(a incident.Actor) int           // how many other people may approve a fix (R9)
	Card     func(name string) (lever.Card, bool) // levers that people made beside the configuration's
	Tail     func(path string, most int64) capture.Item
	HTTPS    func() *HTTPSView // how ready the standby is to answer over HTTPS; nil: no site wants it
	Outside  func() []Finding  // what the world sees of our zones: of each a finding
}

// expectKey and writeKey carry what a request asked for beside its command.
type (
	expectKey struct{}
	writeKey  struct{}
)

// Expect is what a caller saw before it asked: where it no longer holds, nothing is
// done. Zero fields are not compared.
type Expect struct {
	Incident string
	Seq      uint64         // of the newest event
	Phase    incident.Phase // of the page that was pressed on
}

// WithExpect makes a command conditional.
func WithExpect(ctx context.Context, x Expect) context.Context {
	return context.WithValue(ctx, expectKey{}, x)
}

// WithKey makes a write idempotent: the same key in the same incident is done once.
func WithKey(ctx context.Context, key string) context.Context {
	if len(key) > 200 {
		key = key[:200]
	}
	return context.WithValue(ctx, writeKey{}, key)
}

func keyOf(ctx context.Context) string {
	key, _ := ctx.Value(writeKey{}).(string)
	return key
}

// ErrStale is the cause of a conflict with what the caller expected.
var ErrStale = fault.New(fault.Conflict, "it has changed since you looked")

// expected compares what the caller saw with what is.
func expected(ctx context.Context, in incident.Incident) error {
	x, _ := ctx.Value(expectKey{}).(Expect)
	stale := func(what string) error {
		return fault.New(fault.Conflict, "nothing was done: %s", what).WithHint("look again, then press again").Because(ErrStale)
	}
	switch {
	case x.Incident != "" && x.Incident != in.ID:
		return stale("this was asked for another incident")
	case x.Seq != 0 && x.Seq != in.Seq:
		return stale("somebody has written since you looked")
	case x.Phase != "" && x.Phase != in.Phase:
		return stale("the incident is at " + in.Phase.Words() + " by now")
	}
	return nil
}

// freeWay says whether a command is never held up by an old page: towards safety, and
// what only adds words.
func freeWay(c incident.Command) bool {
	switch c.(type) {
	case PullRequest, incident.StepBack, incident.Note, incident.Attach, incident.Declare, incident.TakeBackFix:
		return true
	}
	return false
}
