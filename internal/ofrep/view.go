package ofrep

import (
	"encoding/json"
	"strconv"

	"lifeboat/internal/feature"
)

// View is every flag's answer, ready to be sent. It is immutable.
type View struct {
	revision string
	answers  map[string]answer
}

type answer struct {
	body   []byte
	length string
}

// success is OFREP's evaluationSuccess.
type success struct {
	Key      string            `json:"key"`
	Value    json.RawMessage   `json:"value"`
	Reason   string            `json:"reason"`
	Variant  string            `json:"variant"`
	Metadata map[string]string `json:"metadata"`
}

// Compile renders the answer of every flag as it is ordered. A flag that could
// not be answered with a value (package config refuses those) is left out, and so
// is answered as unknown; the others are unharmed. Orders for flags that aren't
// there are harmless.
func Compile(flags []feature.Flag, orders map[string]feature.Order) *View {
	v := &View{answers: make(map[string]answer, len(flags))}
	for _, f := range flags {
		if f.Validate() != nil {
			continue
		}
		var order *feature.Order
		if o, ok := orders[f.Key]; ok {
			order = &o
		}
		v.answers[f.Key] = render(f.Key, feature.Evaluate(f, order))
	}
	return v
}

// At gives a copy of the view that says which manifest it is true for.
func (v *View) At(epoch, revision uint64) *View {
	return &View{
		revision: strconv.FormatUint(epoch, 10) + "." + strconv.FormatUint(revision, 10),
		answers:  v.answers,
	}
}

func render(key string, a feature.Answer) answer {
	about := a.Metadata
	if about == nil {
		about = map[string]string{}
	}
	body, err := json.Marshal(success{Key: key, Value: a.Value, Reason: a.Reason, Variant: a.Variant, Metadata: about})
	if err != nil {
		// Not reached: a valid flag's value is JSON, and the rest are strings.
		body = []byte("{}")
	}
	return answer{body: body, length: strconv.Itoa(len(body))}
}
