package feature

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// The variants that every flag has, the one of a value that a person ordered and no
// variant has, and the reasons of an Answer. Reason DISABLED is never given: it
// makes clients use the default in their code, which may well be "on".
const (
	On      = "on"
	Off     = "off"
	Ordered = "ordered"

	Static  = "STATIC"          // the same for everybody
	Matched = "TARGETING_MATCH" // the rule named the variant
	Default = "DEFAULT"         // the rule named none, so it is the calm value
	Split   = "SPLIT"           // the lever goes back in stages: a share has the flag's own, the rest the ordered value
)

// Answer is what a flag comes to. Value is always there.
type Answer struct {
	Value    json.RawMessage
	Variant  string            // On, Off, Ordered or one of the flag's own
	Reason   string            // Static, Matched, Default or Split
	Metadata map[string]string // incident, by, since, lever and share of the order, where known; nil without an order

	// NoKey says that the rule splits by targetingKey and the context has none. The
	// value is the calm one; a protocol that can say so should.
	NoKey bool
	// Problem says why the rule could not be followed, "" when it could. The value is
	// the calm one.
	Problem string
}

// Prepared is a flag with its order, ready to be evaluated.
type Prepared struct {
	key    string
	rule   *rule // nil: static
	static Answer
	named  map[string]json.RawMessage // by variant; "true" and "false" too for a boolean
	own    *Prepared                  // without the order, for a share of those who ask; nil: static is for everybody
	share  int                        // percent
}

// Prepare checks the flag and reads its rule. An order always means that a lever is
// pulled; so one whose value can't be used (missing, broken, another type) comes to
// the flag's off value, never to its calm one, and no rule is asked, except for the
// share that has the flag's own again.
func Prepare(f Flag, o *Order) (*Prepared, error) {
	if err := f.usable(); err != nil {
		return nil, err
	}
	p := &Prepared{key: f.Key, static: Evaluate(f, o)}
	if o != nil {
		return p, p.stage(f, o.Share)
	}
	if len(f.Targeting) == 0 {
		return p, nil
	}
	r, err := readRule(f.Targeting, "features."+printable(f.Key)+".targeting")
	if err != nil {
		return nil, err
	}
	p.rule, p.named = r, f.named()
	p.static.Reason = Default
	return p, nil
}

// Static gives the answer and true where it is the same for every context.
func (p *Prepared) Static() (Answer, bool) { return p.static, p.rule == nil && p.own == nil }

// Matches are the answers that the rule can name, each variant once; none for a
// flag without a rule. Of one that goes back in stages they are all its answers.
func (p *Prepared) Matches() []Answer {
	if p.own != nil {
		return p.stages()
	}
	var out []Answer
	for _, name := range slices.Sorted(maps.Keys(p.named)) {
		if v := p.variant(name, p.named[name]); v == name || p.named[v] == nil {
			out = append(out, Answer{Value: p.named[name], Variant: v, Reason: Matched})
		}
	}
	return out
}

// Timed says whether the answer may change by time alone.
func (p *Prepared) Timed() bool {
	return p.rule != nil && p.rule.timed || p.own != nil && p.own.Timed()
}

// Evaluate follows the rule for a context. It takes a bounded number of steps from
// the context's budget.
func (p *Prepared) Evaluate(c *Context) Answer {
	if p.own != nil {
		return p.staged(c)
	}
	if p.rule == nil {
		return p.static
	}
	name, noKey, problem := p.rule.run(p.key, c)
	a := p.static
	a.NoKey, a.Problem = noKey, problem
	if name == nil || noKey || problem != "" {
		return a
	}
	value, known := p.named[*name]
	if !known {
		a.Problem = "the rule names a variant that is not there"
		return a
	}
	a.Value, a.Variant, a.Reason = value, p.variant(*name, value), Matched
	return a
}

// variant is the name that a client is told: on or off where a rule said true or
// false.
func (p *Prepared) variant(name string, value json.RawMessage) string {
	if name != "true" && name != "false" {
		return name
	}
	for _, n := range []string{On, Off} {
		if bytes.Equal(p.named[n], value) {
			return n
		}
	}
	return name
}

// Evaluate gives the ordered value, or the flag's own when o is nil; rules are
// Prepare's.
func Evaluate(f Flag, o *Order) Answer {
	if o == nil {
		return Answer{Value: tight(f.Value), Variant: f.variant(f.Value), Reason: Static}
	}
	value := o.Value
	if t := typeOf(value); t == "" || t == "broken" || t != typeOf(f.Value) {
		value = f.Off
	}
	return Answer{Value: tight(value), Variant: f.variant(value), Reason: Static, Metadata: metadata(o)}
}

// variant names the variant that has the value.
func (f Flag) variant(value json.RawMessage) string {
	value = tight(value)
	switch {
	case bytes.Equal(value, tight(f.Off)):
		return Off
	case bytes.Equal(value, tight(f.Value)):
		return On
	}
	for name, v := range f.Variants {
		if bytes.Equal(value, tight(v)) {
			return name
		}
	}
	return Ordered
}

// named are the flag's values by variant.
func (f Flag) named() map[string]json.RawMessage {
	out := map[string]json.RawMessage{On: tight(f.Value), Off: tight(f.Off)}
	for name, v := range f.Variants {
		out[name] = tight(v)
	}
	if typeOf(f.Value) == "boolean" {
		for _, b := range []string{"true", "false"} {
			if _, own := out[b]; !own {
				out[b] = json.RawMessage(b)
			}
		}
	}
	return out
}

// tight is JSON without spaces, as it is sent.
func tight(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return bytes.TrimSpace(raw)
	}
	return b.Bytes()
}

func metadata(o *Order) map[string]string {
	about := make(map[string]string, 4)
	for _, m := range [...]struct{ name, value string }{
		{"incident", o.Incident}, {"by", o.By}, {"since", o.Since}, {"lever", o.Lever},
	} {
		if m.value != "" {
			about[m.name] = m.value
		}
	}
	return about
}
