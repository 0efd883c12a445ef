package flagfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
)

// syntax is how a file is written. Both know where a flag's bytes are and change
// nothing else.
type syntax interface {
	// decode reads the whole.
	decode(file []byte) (map[string]any, error)
	// locate gives the span of a flag's definition.
	locate(file []byte, path []string) (start, end int, err error)
	// edit sets and drops keys of a definition, each value as JSON.
	edit(piece []byte, set []pair, drop []string) ([]byte, error)
}

// pair is a key and its new value.
type pair struct {
	key   string
	value string // JSON
}

var errNoFlag = errors.New("there is no such flag")
var errTwice = errors.New("the flag is written twice")

type jsonSyntax struct{}

func (jsonSyntax) decode(file []byte) (map[string]any, error) {
	var v map[string]any
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() || v == nil {
		return nil, errors.New("it is not one object")
	}
	return v, nil
}

// member is one key of an object and where it is, counted in bytes.
type member struct {
	key                string
	start, value, stop int
}

// members reads the object that begins at (or after spaces behind) from.
func members(b []byte, from int) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(b[from:]))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not an object")
	}
	var out []member
	for dec.More() {
		start := from + int(dec.InputOffset())
		for start < len(b) && bytes.IndexByte([]byte(" \t\r\n,"), b[start]) >= 0 {
			start++
		}
		key, err := dec.Token()
		name, is := key.(string)
		if err != nil || !is {
			return nil, errors.New("a key can't be read")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		stop := from + int(dec.InputOffset())
		out = append(out, member{name, start, stop - len(raw), stop})
	}
	return out, nil
}

func (jsonSyntax) locate(file []byte, path []string) (start, end int, err error) {
	for _, key := range path {
		all, err := members(file, start)
		if err != nil {
			return 0, 0, err
		}
		found := false
		for _, m := range all {
			if m.key != key {
				continue
			}
			if found {
				return 0, 0, errTwice
			}
			found, start, end = true, m.value, m.stop
		}
		if !found {
			return 0, 0, errNoFlag
		}
	}
	return start, end, nil
}

// edit keeps the bytes between what stays: the object's first indent, and the comma
// and spaces between its first two keys.
func (jsonSyntax) edit(piece []byte, set []pair, drop []string) ([]byte, error) {
	all, err := members(piece, 0)
	if err != nil || len(all) == 0 {
		return nil, errors.Join(errors.New("the flag has no keys"), err)
	}
	between := []byte(", ")
	if len(all) > 1 {
		between = piece[all[0].stop:all[1].start]
	}
	var kept [][]byte
	done := map[string]bool{}
	for _, m := range all {
		if slices.Contains(drop, m.key) {
			continue
		}
		text := piece[m.start:m.stop]
		for _, p := range set {
			if p.key == m.key {
				text, done[p.key] = append(slices.Clone(piece[m.start:m.value]), p.value...), true
			}
		}
		kept = append(kept, text)
	}
	for _, p := range set {
		if !done[p.key] {
			key, _ := json.Marshal(p.key) // a text
			kept = append(kept, append(append(key, ": "...), p.value...))
		}
	}
	out := slices.Clone(piece[:all[0].start])
	out = append(out, bytes.Join(kept, between)...)
	return append(out, piece[all[len(all)-1].stop:]...), nil
}
