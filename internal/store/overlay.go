package store

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// record is a transaction as the journal keeps it. Only writes that change
// something are in it.
type record struct {
	Life     string   `json:"life"` // of the primary that it is meant for
	Revision Revision `json:"revision"`
	Conds    []Cond   `json:"conds,omitempty"`
	Writes   []Write  `json:"writes"`
}

// held is a transaction that waits for the primary.
type held struct {
	record
	changes []Change // in the order of keys
	raw     []byte   // the record's JSON
	told    bool     // LastResort has it
}

func (h *held) encode() error {
	if h.raw != nil {
		return nil
	}
	raw, err := json.Marshal(h.record)
	h.raw = raw
	return err
}

// overlay is what waits: the transactions in order and the keys as they leave
// them.
type overlay struct {
	base      Revision // they start after it
	newest    Revision // of the last of them, 0 if there is none
	pending   []*held
	bytes     int // of their records
	journaled int // so many of the first are in the journal
	keys      map[string]Change
}

func (o *overlay) reset() { *o = overlay{keys: map[string]Change{}} }

func (o *overlay) add(h *held) {
	if len(o.pending) == 0 {
		o.base = h.Revision - 1
	}
	o.pending = append(o.pending, h)
	o.bytes += len(h.raw)
	o.newest = h.Revision
	for _, c := range h.changes {
		o.keys[c.Key] = c
	}
}

// drop takes the first n away: the primary has them.
func (o *overlay) drop(n int) {
	rest, journaled := o.pending[n:], max(o.journaled-n, 0)
	o.reset()
	for _, h := range rest {
		o.add(h)
	}
	o.journaled = journaled
}

func (o *overlay) list(prefix string) (keys map[string]Change, newest Revision) {
	keys = map[string]Change{}
	for key, c := range o.keys {
		if strings.HasPrefix(key, prefix) {
			keys[key] = c
		}
	}
	return keys, o.newest
}

// changes is History.Changes for what waits; held is false if from lies before or
// behind it.
func (o *overlay) changes(prefix string, from Revision, limit int) (changes []Change, through Revision, held bool) {
	if len(o.pending) == 0 || from < o.base || from >= o.newest {
		return nil, from, false
	}
	through = from
	for _, h := range o.pending[from-o.base:] {
		if len(changes) >= limit {
			break
		}
		through = h.Revision
		for _, c := range h.changes {
			if strings.HasPrefix(c.Key, prefix) {
				c.KV = valueCopy(c)
				changes = append(changes, c)
			}
		}
	}
	return changes, through, true
}

// valueCopy keeps the nil value of a deletion.
func valueCopy(c Change) KV {
	if c.Deleted {
		return c.KV
	}
	return copyKV(c.KV)
}

// sortChanges puts the changes of one revision in order.
func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
}
