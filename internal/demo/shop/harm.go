package shop

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// Harm is a way in which a shop can be broken.
type Harm string

// The ways. A shop does to itself Kill, Hang, PoisonRow, FullDisk and Flaky; the
// others are done by whoever runs it: it starts the shop with a release that is bad,
// or lets the Stock service become slow.
const (
	Kill           Harm = "kill"            // the process exits at once with code 137
	Hang           Harm = "hang"            // it accepts, reads, and never answers
	BadRelease     Harm = "bad-release"     // release 413: every page panics
	LeakyRelease   Harm = "leaky-release"   // release 415: well at first, then it has no worker left
	PoisonRow      Harm = "poison-row"      // a product's price can't be read: what lists it fails
	SlowDependency Harm = "slow-dependency" // the stock service takes its time, and workers wait for it
	FullDisk       Harm = "full-disk"       // nothing can be written into the books
	Flaky          Harm = "flaky"           // a job locks the books for a while, then lets go by itself
)

// harms are all ways, in the order in which they are told.
var harms = []Harm{Kill, Hang, BadRelease, LeakyRelease, PoisonRow, SlowDependency, FullDisk, Flaky}

// Harms are all ways to break a shop.
func Harms() []Harm { return slices.Clone(harms) }

// ParseHarm reads a way to break a shop.
func ParseHarm(text string) (Harm, error) {
	if h := Harm(text); slices.Contains(harms, h) {
		return h, nil
	}
	return "", fault.New(fault.Invalid, "no such way to break the shop: %q", text).
		WithHint("one of %s", join(harms))
}

// Act is one thing that somebody can do about a broken shop. Not every act helps
// against every harm, and most help against only one.
type Act string

// The acts. A shop does RepairRow and FreeDisk itself; the others are done by
// whoever runs it.
const (
	Restart       Act = "restart"         // the process anew: same release, same books
	RollBack      Act = "roll-back"       // the good release again
	RollBackBadly Act = "roll-back-badly" // a release that only looks well: LeakyRelease
	RepairRow     Act = "repair-row"      // the product that can't be read is taken out
	SpeedUp       Act = "speed-up"        // the stock service answers at once again
	FreeDisk      Act = "free-disk"       // what fills the disk is deleted
)

var acts = []Act{Restart, RollBack, RollBackBadly, RepairRow, SpeedUp, FreeDisk}

// Acts are all acts.
func Acts() []Act { return slices.Clone(acts) }

// ParseAct reads an act.
func ParseAct(text string) (Act, error) {
	if a := Act(text); slices.Contains(acts, a) {
		return a, nil
	}
	return "", fault.New(fault.Invalid, "no such thing to do about the shop: %q", text).
		WithHint("one of %s", join(acts))
}

func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// What a setting is where none is named, and its bounds.
const (
	usualFlaky = 10 * time.Second
	minFlaky   = 100 * time.Millisecond
	maxFlaky   = 10 * time.Minute
	usualWell  = 40
	minWell    = 10
	maxWell    = 1_000_000
)

// Breakage is a way to break the shop with its setting.
type Breakage struct {
	How  Harm
	For  time.Duration // of Flaky: how long it lasts
	Well int           // of LeakyRelease: about how many requests it answers first
}

// ParseBreakage reads a way to break the shop: its name, and after a question mark
// the setting that it may have, as in "flaky?for=5s" and "leaky-release?well=40".
func ParseBreakage(text string) (Breakage, error) {
	name, setting, _ := strings.Cut(text, "?")
	how, err := ParseHarm(name)
	if err != nil {
		return Breakage{}, err
	}
	b := Breakage{How: how}
	switch how {
	case Flaky:
		b.For, err = parseFor(setting)
	case LeakyRelease:
		b.Well, err = parseWell(setting)
	default:
		err = noSetting(name, setting)
	}
	return b, err
}

// String is what ParseBreakage reads.
func (b Breakage) String() string {
	switch b.How {
	case Flaky:
		return string(b.How) + "?for=" + b.For.String()
	case LeakyRelease:
		return string(b.How) + "?well=" + strconv.Itoa(b.Well)
	}
	return string(b.How)
}

// Remedy is an act with its setting.
type Remedy struct {
	Act  Act
	Well int // of RollBackBadly: about how many requests the release answers first
}

// ParseRemedy reads an act: its name, and after a question mark the setting that it
// may have, as in "roll-back-badly?well=40".
func ParseRemedy(text string) (Remedy, error) {
	name, setting, _ := strings.Cut(text, "?")
	act, err := ParseAct(name)
	if err != nil {
		return Remedy{}, err
	}
	r := Remedy{Act: act}
	if act == RollBackBadly {
		r.Well, err = parseWell(setting)
	} else {
		err = noSetting(name, setting)
	}
	return r, err
}

// String is what ParseRemedy reads.
func (r Remedy) String() string {
	if r.Act == RollBackBadly {
		return string(r.Act) + "?well=" + strconv.Itoa(r.Well)
	}
	return string(r.Act)
}

func noSetting(name, setting string) error {
	if setting == "" {
		return nil
	}
	return fault.New(fault.Invalid, "%s has no setting %q", name, setting).WithHint("leave out what follows the question mark")
}

// parseFor reads "for=5s"; nothing is the usual length.
func parseFor(setting string) (time.Duration, error) {
	text, err := value(setting, "for")
	if text == "" || err != nil {
		return usualFlaky, err
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minFlaky || d > maxFlaky {
		return 0, fault.New(fault.Invalid, "not a length of time that fits: %q", text).At("for").
			WithHint("from %s to %s, such as for=5s", minFlaky, maxFlaky)
	}
	return d, nil
}

// parseWell reads "well=40"; nothing is the usual number.
func parseWell(setting string) (int, error) {
	text, err := value(setting, "well")
	if text == "" || err != nil {
		return usualWell, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < minWell || n > maxWell {
		return 0, fault.New(fault.Invalid, "not a number of requests that fits: %q", text).At("well").
			WithHint("from %d to %d, such as well=%d", minWell, maxWell, usualWell)
	}
	return n, nil
}

// value gives the one setting that is allowed; any other is refused.
func value(setting, key string) (string, error) {
	values, err := url.ParseQuery(setting)
	if err != nil {
		return "", fault.New(fault.Invalid, "not a setting: %q", setting).WithHint("write %s=…", key)
	}
	for k, list := range values {
		if k != key || len(list) != 1 {
			return "", fault.New(fault.Invalid, "not a setting here: %q", setting).WithHint("write %s=… once", key)
		}
	}
	return values.Get(key), nil
}
