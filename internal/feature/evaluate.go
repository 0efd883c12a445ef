package feature

import (
	"bytes"
	"encoding/json"
)

// The variants and the reason of an Answer. Reason DISABLED is never given: it
// makes clients use the default in their code, which may well be "on".
const (
	On     = "on"
	Off    = "off"
	Static = "STATIC"
)

// Answer is what a flag comes to. Value is always there.
type Answer struct {
	Value    json.RawMessage
	Variant  string            // On or Off
	Reason   string            // Static
	Metadata map[string]string // incident, by, since, lever of the order, where known; nil without an order
}

// Evaluate gives the ordered value, or the flag's own when o is nil. An order
// always means that a lever is pulled; so one whose value can't be used (missing,
// broken, another type) comes to the flag's off value, never to its calm one.
func Evaluate(f Flag, o *Order) Answer {
	if o == nil {
		return f.answer(f.Value, nil)
	}
	value := o.Value
	if t := typeOf(value); t != "boolean" || t != typeOf(f.Value) {
		value = f.Off
	}
	return f.answer(value, metadata(o))
}

func (f Flag) answer(value json.RawMessage, about map[string]string) Answer {
	value = bytes.TrimSpace(value)
	variant := On
	if bytes.Equal(value, bytes.TrimSpace(f.Off)) {
		variant = Off
	}
	return Answer{Value: value, Variant: variant, Reason: Static, Metadata: about}
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
