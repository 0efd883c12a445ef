// Package quarantine says what it means to take rows that do harm out of a
// database together with everything that hangs on them, to keep them, and to put
// them back: the words, the request, the plan and its hash, the states, the
// contract that a database keeps.
//
// It is not a driver: it opens nothing and reads no clock. The machinery that
// relational databases share is package relational below; postgres, mysql and
// sqlite below are the databases. Those who wire (control) and the driver of the
// lever contract (lever/quarantinelever) import this package.
//
// Invariants. A plan is read only and names every row by its key and its hash:
// what is applied is that list, never a predicate. A plan without refusals may be
// applied; one with refusals never. Nothing is ever overwritten on the way back.
// Contents of rows stay in their database: a plan, an operation and a report hold
// keys, hashes and counts.
//
// Concurrency: values are plain data; a Database may be used from any goroutine.
package quarantine

import (
	"context"
	"time"
)

// Mode says what is done to the rows.
type Mode string

// The modes. Move takes rows away with their dependents; Replace puts safe values
// into cells and remembers what was there.
const (
	Move    Mode = "move"
	Replace Mode = "replace"
)

// State is where an operation is.
type State string

// The states of an operation. Absent means that nothing happened at all: an
// operation is there exactly when its transaction committed.
const (
	Absent   State = "absent"
	Moving   State = "moving"  // batch mode: under way or interrupted; Apply with the same plan goes on
	Stopped  State = "stopped" // batch mode: stopped by a person; Apply with the same plan goes on
	Held     State = "held"
	Partly   State = "partly restored"
	Restored State = "restored"
	Ended    State = "discarded" // no row can come back any more; the copies stay until they are purged
	Purged   State = "purged"    // the copies are gone; hashes, counts and who did it stay
)

// RowState is where one row is.
type RowState string

// The states of a row.
const (
	RowHeld      RowState = "held"
	RowRestored  RowState = "restored"
	RowEdited    RowState = "restored-edited"
	RowDiscarded RowState = "discarded"
)

// Key names a row: the text of each key column, in the order of Table.Key. How a
// value is written is the database's own (see each driver's package doc).
type Key []string

// Request is what Plan is asked for.
type Request struct {
	ID       string     `json:"id"` // of the operation: 1 to 26 of a-z and 0-9; it names the tables that hold the rows
	By       string     `json:"by,omitempty"`
	Incident string     `json:"incident,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Mode     Mode       `json:"mode"`            // default Move
	Table    string     `json:"table"`           // schema.table, or table
	Keys     []Key      `json:"keys,omitempty"`  // either these
	Where    *Predicate `json:"where,omitempty"` // or this, never both
	Set      []Cell     `json:"set,omitempty"`   // Replace: the safe values
	Batch    bool       `json:"batch,omitempty"` // in many transactions: needed above Limits.Rows; not atomic
	Accept   []Rule     `json:"accept,omitempty"`
}

// Cell is a value for a column; a nil Value is NULL.
type Cell struct {
	Column string  `json:"column"`
	Value  *string `json:"value"`
}

// Plan is what would be done, resolved once: the frozen rows, why each table is
// touched, what will be noticed, and why it is refused if it is.
type Plan struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`     // postgres, mysql, sqlite
	Database string    `json:"database"` // its name in the configuration
	Mode     Mode      `json:"mode"`
	Batch    bool      `json:"batch,omitempty"` // in many transactions: not atomic
	Root     string    `json:"root"`            // the table that was asked for
	Request  Request   `json:"request"`
	Tables   []Table   `json:"tables"`          // parents first; Tables[0] is Root's
	Detached []Detach  `json:"detached"`        // rows that stay and lose a link for the time being
	Links    []Link    `json:"links"`           // the relations that were followed
	Rows     int       `json:"rows"`            // that are taken away (or changed, in mode Replace)
	Bytes    int64     `json:"bytes"`           // their size, about
	Refused  []Refusal `json:"refused"`         // empty: the plan may be applied
	Notices  []Notice  `json:"notices"`         // what visitors and operators may notice
	SQL      []string  `json:"sql"`             // as it will run, the values as places
	Inverse  []string  `json:"inverse"`         // as Restore will run it
	Locks    []string  `json:"locks,omitempty"` // who may be in the way just now
	Made     time.Time `json:"made"`
	Expires  time.Time `json:"expires"`
	Hash     string    `json:"hash"` // see HashPlan
}

// Table is one table of a plan.
type Table struct {
	Name      string   `json:"name"`            // schema.table
	Path      string   `json:"path"`            // "line via order via account"
	Why       string   `json:"why"`             // one sentence
	Key       []string `json:"key"`             // the columns that name a row
	Columns   []Column `json:"columns"`         // in the order of the table
	Frozen    []Row    `json:"frozen"`          // sorted by key
	Bytes     int64    `json:"bytes"`           // of the frozen rows, about
	Total     int64    `json:"total"`           // rows in the table, about; -1 when unknown
	SetHash   string   `json:"set_hash"`        // HashSet of the frozen rows
	Image     string   `json:"image,omitempty"` // hash of the frozen rows one after the other; empty where the database can't tell
	DDLHash   string   `json:"ddl_hash"`        // HashColumns of Columns
	Unique    []Unique `json:"unique"`          // what may be taken by another row meanwhile
	Triggers  []string `json:"triggers"`        // "orders_audit (BEFORE DELETE, runs shop.audit)"
	Feeds     []string `json:"feeds,omitempty"` // materialised views and publications that see the change
	Partition bool     `json:"partitioned,omitempty"`
	Samples   []Sample `json:"samples"` // at most five, masked
	Hold      string   `json:"hold"`    // the table that will hold the rows
}

// Row is a frozen row: its key, and the hash of all its cells.
type Row struct {
	Key  Key    `json:"key"`
	Hash string `json:"hash"`
}

// Column is a column as the catalogue tells of it.
type Column struct {
	Name  string `json:"name"`
	Type  string `json:"type"`           // as the database writes it
	Cast  string `json:"cast,omitempty"` // the type as a cast writes it, where it differs
	Class Class  `json:"class"`
	// Operators is the schema of the operators that compare it, where they are not the
	// database's own (PostgreSQL: types of extensions).
	Operators string `json:"operators,omitempty"`
	NotNull   bool   `json:"not_null,omitempty"`
	Default   bool   `json:"default,omitempty"`   // has one
	Generated bool   `json:"generated,omitempty"` // computed: never written
	Identity  string `json:"identity,omitempty"`  // always or default; auto for AUTO_INCREMENT and rowid
}

// Unique is a unique key beside the one that names rows.
type Unique struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	// Opaque keys are over expressions or part of the rows: a clash is found by the
	// database when the row is put back, not by the preview.
	Opaque bool `json:"opaque,omitempty"`
}

// Link is a relation: rows of Child name rows of Parent. It comes from a foreign
// key, or from the configuration where the database does not know of it.
type Link struct {
	Name          string   `json:"name"`
	Child         string   `json:"child"`
	ChildColumns  []string `json:"child_columns"`
	Parent        string   `json:"parent"`
	ParentColumns []string `json:"parent_columns"`
	// OnDelete is what the database would do: cascade, restrict, no action, set null,
	// set default. The last two are detached, all others move.
	OnDelete string `json:"on_delete"`
	// Empties are the columns that set null and set default touch; empty means all.
	Empties    []string `json:"empties,omitempty"`
	Deferrable bool     `json:"deferrable,omitempty"`
	// Collate is how each pair of columns compares text, where what is compared does not say
	// it: copies in SQLite, and columns that say different things in PostgreSQL.
	Collate []string `json:"collate,omitempty"`
	// Casts are the types that the child's columns are turned into first, where that matters.
	Casts []string `json:"casts,omitempty"`
	// Logical links are not kept by the database: they come from the configuration, or
	// the database was told not to enforce them. When narrows one to the children whose
	// column has a value ("commentable_type" is "Order").
	Logical bool   `json:"logical,omitempty"`
	When    []Cell `json:"when,omitempty"`
}

// Detaches says whether children stay and lose the link.
func (l Link) Detaches() bool { return l.OnDelete == "set null" || l.OnDelete == "set default" }

// Emptied are the columns that detaching touches.
func (l Link) Emptied() []string {
	if len(l.Empties) > 0 {
		return l.Empties
	}
	return l.ChildColumns
}

// Detach is the rows of a table that stay and lose one link for the time being.
type Detach struct {
	Link    Link     `json:"link"`
	Key     []string `json:"key"`
	Frozen  []Row    `json:"frozen"` // Hash is of the link's cells only
	SetHash string   `json:"set_hash"`
	Hold    string   `json:"hold"`
}

// Sample is a row for people to recognise: its key, and of every other cell only
// what it is like.
type Sample struct {
	Key   Key      `json:"key"`
	Cells []string `json:"cells"` // "note: text, 24 characters"
}

// Notice is one sentence on what will be noticed.
type Notice struct {
	Table string `json:"table,omitempty"`
	Text  string `json:"text"`
}

// Rule names a reason to refuse.
type Rule string

// The rules. Those of Acceptable can be accepted by a person who gives a reason.
const (
	RuleNoKey      Rule = "no-key"      // rows can't be told apart
	RuleNotTable   Rule = "not-a-table" // a view, a foreign table, a virtual table
	RuleSystem     Rule = "system"      // the database's own, or ours
	RuleNotListed  Rule = "not-listed"  // not on the allow-list
	RuleRules      Rule = "rules"       // PostgreSQL rewrite rules
	RuleEngine     Rule = "engine"      // without transactions
	RulePrivilege  Rule = "privilege"
	RuleOpen       Rule = "open" // another quarantine holds rows of the table
	RuleEmpty      Rule = "empty"
	RuleNothing    Rule = "nothing-found"
	RuleWhole      Rule = "whole-table"
	RuleShare      Rule = "share" // more than Limits.Share of a table
	RuleMax        Rule = "max-rows"
	RuleHard       Rule = "hard-limit"
	RuleIndex      Rule = "index" // a large child table without an index on the link
	RulePublished  Rule = "published"
	RulePartition  Rule = "partition"
	RuleCircle     Rule = "circle" // a circle of references that this database can't break
	RuleColumn     Rule = "column" // Replace: a column that can't be replaced
	RuleVersioned  Rule = "versioned"
	RuleRowControl Rule = "row-security"
)

// Acceptable says whether a person may go on in spite of the rule.
func (r Rule) Acceptable() bool { return r == RuleShare || r == RuleIndex || r == RuleOpen }

// Refusal is a reason why a plan can't be applied, and what would help.
type Refusal struct {
	Rule    Rule   `json:"rule"`
	Table   string `json:"table,omitempty"`
	Reason  string `json:"reason"`
	Satisfy string `json:"satisfy"`
}

// Progress tells how far an act is; Watch is asked after each transaction of a
// batch and between steps. Returning false stops a batch after what is committed
// (an act in one transaction is rolled back).
type Progress struct {
	Step string `json:"step"`
	Done int    `json:"done"` // rows
	Of   int    `json:"of"`
}

// Watch may be nil.
type Watch func(Progress) bool

// Operation is what the database itself says of an operation: the marker that was
// written in the same transaction as the change.
type Operation struct {
	ID        string        `json:"id"`
	PlanHash  string        `json:"plan_hash"`
	Kind      string        `json:"kind"`
	Mode      Mode          `json:"mode"`
	State     State         `json:"state"`
	Root      string        `json:"root"`
	By        string        `json:"by,omitempty"`
	Incident  string        `json:"incident,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	Started   time.Time     `json:"started"`
	Changed   time.Time     `json:"changed"`
	Rows      int           `json:"rows"`      // taken away so far
	Restored  int           `json:"restored"`  // of these, back
	Discarded int           `json:"discarded"` // of these, given up
	Tables    []Holding     `json:"tables"`
	Acts      []Act         `json:"acts,omitempty"` // what was done since, oldest first
	Batch     bool          `json:"batch,omitempty"`
	Waits     time.Duration `json:"waits,omitempty"` // longest wait for a lock while applying, about
}

// Waiting is how many rows could still come back.
func (o Operation) Waiting() int { return o.Rows - o.Restored - o.Discarded }

// Holding is one table of an operation.
type Holding struct {
	Table     string   `json:"table"`
	Hold      string   `json:"hold"`
	Key       []string `json:"key"`
	Rows      int      `json:"rows"`
	Restored  int      `json:"restored"`
	Discarded int      `json:"discarded"`
	Detached  int      `json:"detached,omitempty"` // links to put back
}

// Act is one restore, discard or purge, as the database remembers it.
type Act struct {
	ID   string    `json:"id"`
	Verb string    `json:"verb"` // restore, discard, purge
	By   string    `json:"by,omitempty"`
	At   time.Time `json:"at"`
	Rows int       `json:"rows"`
	Note string    `json:"note,omitempty"`
}

// Verdict is what Verify found, check by check.
type Verdict struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
	// Unverified: the database is as it should be, and nothing has said whether the harm
	// that the rows did is gone.
	Unverified bool `json:"unverified,omitempty"`
}

// Check is one thing that Verify looked at.
type Check struct {
	Name    string `json:"name"` // absent, copies, orphans, back, symptom
	Table   string `json:"table,omitempty"`
	OK      bool   `json:"ok"`
	Unknown bool   `json:"unknown,omitempty"` // it could not be looked at
	Detail  string `json:"detail"`            // one sentence, with figures
}

// Policy says what Restore does about a row that can't come back.
type Policy string

// The policies. Nothing is ever overwritten by either.
const (
	Abort Policy = "abort"           // nothing comes back; the default
	Skip  Policy = "skip-and-report" // the others come back; the row and what hangs on it stays held
)

// Back is what Preview and Restore are asked for.
type Back struct {
	Operation string `json:"operation"`
	ID        string `json:"id"` // of this act: doing it again with the same id changes nothing
	By        string `json:"by,omitempty"`
	Policy    Policy `json:"policy,omitempty"`
	// Roots narrows it to some rows of the root table and what hangs on them: one
	// entity first, then the rest. Empty means all that is held.
	Roots []Key  `json:"roots,omitempty"`
	Edits []Edit `json:"edits,omitempty"`
}

// Edit corrects a held row on its way back. Both versions are kept.
type Edit struct {
	Table string `json:"table"`
	Key   Key    `json:"key"`
	Set   []Cell `json:"set"`
}

// Preview is what Restore would do.
type Preview struct {
	Rows      int        `json:"rows"` // that would come back now
	Links     int        `json:"links"`
	Tables    []Holding  `json:"tables"`
	Conflicts []Conflict `json:"conflicts"` // what can't
	Drift     []Conflict `json:"drift"`     // tables that have changed since
	Notices   []Notice   `json:"notices"`
	Clear     bool       `json:"clear"` // Restore with policy Abort would bring all of it back
}

// Conflict is a row or a link that can't come back as it was.
type Conflict struct {
	Table  string `json:"table"`
	Key    Key    `json:"key,omitempty"`
	Kind   string `json:"kind"`   // key taken, unique taken, parent gone, relinked, changed, hangs on, drift, trigger
	Detail string `json:"detail"` // one sentence that ends with the next step
}

// Returned is what Restore did.
type Returned struct {
	Operation Operation  `json:"operation"`
	Rows      int        `json:"rows"`
	Links     int        `json:"links"`
	Skipped   []Conflict `json:"skipped"`
	Edited    int        `json:"edited"`
	Again     bool       `json:"again,omitempty"` // the act had been done before: nothing was changed now
}

// Drop is what Discard and Purge are asked for.
type Drop struct {
	Operation string `json:"operation"`
	ID        string `json:"id"`
	By        string `json:"by,omitempty"`
	Second    string `json:"second,omitempty"` // Purge: the other person
	Roots     []Key  `json:"roots,omitempty"`  // Discard: only these entities
}

// Database is one database that rows can be taken out of. Errors are *fault.Error
// with the next step; kind Conflict with Stale's text is "plan is stale".
type Database interface {
	// Plan resolves a request. It changes nothing, and a plan that can't be applied is a
	// plan with refusals, not an error; errors are bad input and a database that does
	// not answer.
	Plan(ctx context.Context, r Request) (Plan, error)
	// Apply does what the plan says, in one transaction together with the marker that
	// Look finds (Batch: in many). It is idempotent on the plan's id: a plan that was
	// applied before gives its operation and changes nothing. An error of kind
	// Unavailable means that the outcome is not known: Look.
	Apply(ctx context.Context, p Plan, w Watch) (Operation, error)
	// Rehearse does what Apply does, runs check inside the transaction and rolls it
	// back, always. Rows are locked meanwhile: keep check short. A batch can't be
	// rehearsed.
	Rehearse(ctx context.Context, p Plan, check func(context.Context, Queryer) error) error
	// Look says what became of an operation. State Absent, without an error, means that
	// nothing happened.
	Look(ctx context.Context, id string) (Operation, error)
	// Verify looks whether the rows are gone (or back), the copies are whole and no row
	// was orphaned.
	Verify(ctx context.Context, id string) (Verdict, error)
	// Preview says what Restore would do. It changes nothing.
	Preview(ctx context.Context, b Back) (Preview, error)
	// Restore puts rows back, in one transaction. A conflict under policy Abort is an
	// error of kind Conflict and changes nothing.
	Restore(ctx context.Context, b Back, w Watch) (Returned, error)
	// Discard gives held rows up. The copies stay until Purge.
	Discard(ctx context.Context, d Drop) (Operation, error)
	// Purge deletes the copies for ever. It needs two people and an operation of which
	// no row waits. It is never part of a lever.
	Purge(ctx context.Context, d Drop) (Operation, error)
	// Held lists the operations, newest first, purged ones included.
	Held(ctx context.Context) ([]Operation, error)
	// Ready says what is missing for a quarantine to work, each with the next step.
	Ready(ctx context.Context) ([]string, error)
	Close() error
}

// Queryer reads inside the transaction of Rehearse: the rows' cells as text, NULL as
// nil. It reads at most the given number of rows.
type Queryer interface {
	Read(ctx context.Context, limit int, query string, args ...any) ([][]*string, error)
}

// Limits bound what one operation may touch. Zero values take the defaults.
type Limits struct {
	Rows       int           `json:"rows"`        // in one transaction; default 1,000
	Bytes      int64         `json:"bytes"`       // in one transaction; default 64 MiB
	Hard       int           `json:"hard"`        // at all; default 100,000
	Share      float64       `json:"share"`       // of any table; default 0.10
	ShareFloor int           `json:"share_floor"` // so few rows are never too large a share; default 10
	Large      int64         `json:"large"`       // rows from which a link needs an index; default 100,000
	Read       time.Duration `json:"read"`        // for one statement of a plan; default 15 s
	Write      time.Duration `json:"write"`       // for one statement that changes; default 30 s
	Lock       time.Duration `json:"lock"`        // for one lock; default 2 s
	Life       time.Duration `json:"life"`        // of a plan; default 15 min
	Batch      int           `json:"batch"`       // root rows in one transaction of a batch; default 100
}

// WithDefaults fills in what is not set.
func (l Limits) WithDefaults() Limits {
	setDefault(&l.Rows, 1000)
	setDefault(&l.Bytes, 64<<20)
	setDefault(&l.Hard, 100_000)
	setDefault(&l.Share, 0.10)
	setDefault(&l.ShareFloor, 10)
	setDefault(&l.Large, 100_000)
	setDefault(&l.Read, 15*time.Second)
	setDefault(&l.Write, 30*time.Second)
	setDefault(&l.Lock, 2*time.Second)
	setDefault(&l.Life, 15*time.Minute)
	setDefault(&l.Batch, 100)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
