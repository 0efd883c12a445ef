// Package ledger keeps what changed: deploys, settings, certificates, a mail to all
// customers. Most outages come of a change, so it is the first thing to look at in
// a crisis, and it is filled in peace.
//
// It is a list by time, not a judge: Rank orders by time alone, and whether a change
// is to blame is for people to find out. It does not fetch changes; who knows of
// one adds it. Only the engine, the edges and control may import it.
//
// Invariants: one ID is one change, however often it is told; a change is never
// edited; at most MaxChanges are kept, for MaxAge.
//
// Concurrency: every method may be called from any goroutine. Check and Rank are
// pure.
package ledger

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// The kinds of changes.
const (
	Deploy        = "deploy"
	Configuration = "configuration"
	Flag          = "flag"
	DNS           = "dns"
	Certificate   = "certificate"
	Schema        = "schema"
	Package       = "package"
	Schedule      = "schedule"
	Traffic       = "traffic"
	Lever         = "lever"
	Fix           = "fix"
	Other         = "other"
)

// Kinds gives the kinds of changes in the order in which they are offered.
func Kinds() []string {
	return []string{Deploy, Configuration, Flag, DNS, Certificate, Schema, Package, Schedule, Traffic, Lever, Fix, Other}
}

// Limits on a change and on how many are kept.
const (
	MaxID      = 128 // bytes
	MaxName    = 100 // runes of Site, Source, Who and Service
	MaxHost    = 253 // runes; RFC 1035 section 2.3.4 leaves room for no more
	MaxWhat    = 300 // runes
	MaxRef     = 500 // runes
	MaxChanges = 10_000
	MaxAge     = 400 * 24 * time.Hour // so that last year's big day is still there
	MaxAhead   = time.Hour            // of our clock: other clocks are wrong, too
)

// Change is one thing that changed.
type Change struct {
	ID         string    `json:"id"`                   // given by its source, so that it may be told twice
	At         time.Time `json:"at"`                   // when it changed
	RecordedAt time.Time `json:"recorded_at"`          // when we were told
	Site       string    `json:"site,omitempty"`       // empty: all sites
	Source     string    `json:"source"`               // who told: github, person, lifeboat, configuration …
	Kind       string    `json:"kind"`                 // one of Kinds
	Who        string    `json:"who,omitempty"`        // who did it
	What       string    `json:"what"`                 // one line
	Ref        string    `json:"ref,omitempty"`        // where to read on: a URL or a commit
	Host       string    `json:"host,omitempty"`       // where it changed; empty: everywhere
	Service    string    `json:"service,omitempty"`    // what changed; empty: everything
	Reversible *bool     `json:"reversible,omitempty"` // nil: not known
}

// Check says what is wrong with a change: fault Invalid whose Place is the JSON name
// of the first field at fault.
func (c Change) Check() error {
	switch {
	case c.ID == "":
		return invalid("id", "the change has no id")
	case len(c.ID) > MaxID:
		return invalid("id", "the id is %d bytes long", len(c.ID)).WithHint("use at most %d", MaxID)
	case strings.IndexFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return invalid("id", "the id holds a blank or a letter that is not ASCII").WithHint("use letters, digits and signs, as in deploy-4711")
	case c.At.IsZero():
		return invalid("at", "the change has no time")
	case c.At.UTC().Year() < 2000 || c.At.UTC().Year() > 9999:
		return invalid("at", "nothing changed in the year %d", c.At.UTC().Year())
	case !slices.Contains(Kinds(), c.Kind):
		return invalid("kind", "there is no kind of change called %q", short(c.Kind)).WithHint("use one of %s", strings.Join(Kinds(), ", "))
	}
	for _, f := range []struct {
		place, text string
		most        int
		needed      bool
	}{
		{"site", c.Site, MaxName, false},
		{"source", c.Source, MaxName, true},
		{"who", c.Who, MaxName, false},
		{"what", c.What, MaxWhat, true},
		{"ref", c.Ref, MaxRef, false},
		{"host", c.Host, MaxHost, false},
		{"service", c.Service, MaxName, false},
	} {
		if f.needed && strings.TrimSpace(f.text) == "" {
			return invalid(f.place, "it is not said").WithHint("add %s", f.place)
		}
		if err := line(f.place, f.text, f.most); err != nil {
			return err
		}
	}
	return nil
}

// line checks that a text is one line and not too long.
func line(place, text string, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return invalid(place, "it is not UTF-8 text")
	case n > most:
		return invalid(place, "it is %d letters long", n).WithHint("use at most %d", most)
	case strings.IndexFunc(text, breaks) >= 0:
		return invalid(place, "it has a line end or another control character").WithHint("write it as one line")
	}
	return nil
}

func breaks(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

func short(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func invalid(place, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(place)
}

// The keys of the store. A change's key begins with its time in a fixed width, so
// that keys are in the order of time and a day or a month is a prefix.
const (
	keyChange = "change/"    // TIME-ID → Change
	keyID     = "change-id/" // ID → key of the change
	keyTime   = "20060102T150405.000000000Z"
	keyDay    = "20060102"
	keyMonth  = "200601"
)

func key(c Change) string { return keyChange + c.At.UTC().Format(keyTime) + "-" + c.ID }

// idOf gives the ID in a change's key.
func idOf(key string) string { return key[min(len(key), len(keyChange)+len(keyTime)+1):] }

// Writes makes the writes that record a change which Check has passed: put them in
// the transaction that makes the change, for what lifeboat does itself. Its ID MUST
// be new; Add finds out for changes that others tell of.
func Writes(c Change) []store.Write {
	c.At, c.RecordedAt = c.At.UTC(), c.RecordedAt.UTC()
	value, _ := json.Marshal(c) // our own type, its times checked
	return []store.Write{{Key: key(c), Value: value}, {Key: keyID + c.ID, Value: []byte(key(c))}}
}
