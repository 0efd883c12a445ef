package feed

import (
	"encoding/json"
	"errors"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe"
)

// AskLimit is how long a visitor waits for control.
const AskLimit = 3 * time.Second

// maxAsk bounds the message of a Subscribe: the largest Ask that passes its Check, each
// byte of it escaped.
const maxAsk = 256 << 10

// Subscribe is what a visitor of a status page wants of control.
type Subscribe struct {
	ID  uint64        `json:"id"` // counts within a connection
	Ask subscribe.Ask `json:"ask"`
}

// Subscribed is control's answer to it.
type Subscribed struct {
	ID   uint64         `json:"id"`
	Told subscribe.Told `json:"told"`
}

// ReadSubscribe reads a Subscribe. One that can't be answered at all is fault Invalid;
// what is told of it holds nothing of the visitor's.
func ReadSubscribe(body json.RawMessage) (s Subscribe, err error) {
	if len(body) > maxAsk {
		return s, fault.New(fault.Invalid, "a question of %d bytes is too long", len(body))
	}
	if json.Unmarshal(body, &s) != nil {
		return Subscribe{}, fault.New(fault.Invalid, "a visitor's question can't be read")
	}
	return s, nil
}

// Refused is what a visitor is told of an Ask that its Check refuses, and whether it does.
func Refused(a subscribe.Ask) (told subscribe.Told, refused bool) {
	err := a.Check()
	var f *fault.Error
	switch {
	case err == nil:
		return told, false
	case errors.As(err, &f) && (a.Do == subscribe.Begin || f.Place == "components"):
		return subscribe.Told{Outcome: subscribe.Wrong, Field: f.Place}, true
	}
	return subscribe.Told{Outcome: subscribe.Unknown}, true
}
