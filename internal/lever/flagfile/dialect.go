package flagfile

import (
	"encoding/json"
	"fmt"
	"strings"

	"lifeboat/internal/fault"
)

// dialect is what one flag system writes into its file.
type dialect struct {
	kind     string
	variants string // the key of the values by name
	word     string // what one of them is called there
	path     func(flag string) []string
	set      func(variant string) []pair
	drop     []string                         // what else would decide
	now      func(flag map[string]any) string // who gets what, in a few words
	ruled    func(flag map[string]any) bool   // not everybody gets the same
	mute     func(flag map[string]any) bool   // nobody gets a value
}

// flagd: https://flagd.dev/reference/flag-definitions/. A flag that is DISABLED has no
// value, so the code's default would decide: the state is always ENABLED here. Without
// targeting everybody gets the default variant.
var flagd = dialect{
	kind: "flagd", variants: "variants", word: "variant",
	path: func(flag string) []string { return []string{"flags", flag} },
	set: func(variant string) []pair {
		return []pair{{"state", `"ENABLED"`}, {"defaultVariant", quoted(variant)}}
	},
	drop:  []string{"targeting"},
	ruled: func(f map[string]any) bool { return filled(f["targeting"]) },
	mute:  func(f map[string]any) bool { return f["state"] == "DISABLED" || f["defaultVariant"] == nil },
	now: func(f map[string]any) string {
		return described(f["defaultVariant"], filled(f["targeting"]), f["state"] == "DISABLED")
	},
}

// GO Feature Flag: https://gofeatureflag.org/docs/configure_flag/create-flags. What is
// disabled, or outside of its experimentation's dates, has no value; scheduled steps
// and a bucketing key that a context lacks would decide, too.
var goff = dialect{
	kind: "goff", variants: "variations", word: "variation",
	path: func(flag string) []string { return []string{flag} },
	set: func(variation string) []pair {
		return []pair{{"defaultRule", `{"variation": ` + quoted(variation) + `}`}}
	},
	drop:  []string{"targeting", "disable", "experimentation", "scheduledRollout", "bucketingKey"},
	ruled: goffRuled,
	mute:  func(f map[string]any) bool { return f["disable"] == true },
	now: func(f map[string]any) string {
		rule, _ := f["defaultRule"].(map[string]any)
		return described(rule["variation"], goffRuled(f), f["disable"] == true)
	},
}

func goffRuled(f map[string]any) bool {
	rule, _ := f["defaultRule"].(map[string]any)
	return filled(f["targeting"]) || filled(f["scheduledRollout"]) || filled(f["experimentation"]) || rule["variation"] == nil || len(rule) > 1 && (filled(rule["percentage"]) || filled(rule["progressiveRollout"]))
}

func described(variant any, ruled, disabled bool) string {
	out := "no default"
	if variant != nil {
		out = fmt.Sprint(variant)
	}
	if ruled {
		out += " by its rules"
	}
	if disabled {
		out += ", disabled"
	}
	return strings.ToValidUTF8(out, "")
}

// filled tells a rule from none, and from one without contents.
func filled(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return true
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a text
	return string(b)
}

// flagOf finds a flag in a file that has been read.
func (d dialect) flagOf(file map[string]any, flag string) (map[string]any, error) {
	var v any = file
	for _, key := range d.path(flag) {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	m, is := v.(map[string]any)
	if !is {
		return nil, fault.New(fault.NotFound, "there is no flag %q in the file", flag).WithHint("name one that is there")
	}
	return m, nil
}

// value is what a variant means; it must mean something.
func (d dialect) value(flag map[string]any, variant string) (any, error) {
	values, _ := flag[d.variants].(map[string]any)
	v, has := values[variant]
	if !has || v == nil {
		return nil, fault.New(fault.Invalid, "the flag has no %s %q with a value", d.word, variant).WithHint("name one of its %s", d.variants)
	}
	return v, nil
}
