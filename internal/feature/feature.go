// Package feature holds flags that are switches: a key, an explicit value, an
// explicit off value, and what it means to people.
//
// It is pure and is evaluated by ofrep. Words are OpenFeature's.
//
// Concurrency: values.
package feature

import "encoding/json"

// Flag is a switch as configuration gives it.
type Flag struct {
	Key         string          `json:"key"`
	Value       json.RawMessage `json:"value"` // in calm
	Off         json.RawMessage `json:"off"`   // when its lever is pulled; always explicit
	Says        string          `json:"says,omitempty"`
	CodeDefault json.RawMessage `json:"code_default,omitempty"`
}

// Order is a value that a person ordered for a flag; it wins over the flag's own.
type Order struct {
	Value    json.RawMessage `json:"value"`
	Lever    string          `json:"lever"`
	Incident string          `json:"incident"`
	By       string          `json:"by,omitempty"`
	Since    string          `json:"since,omitempty"` // RFC 3339
}
