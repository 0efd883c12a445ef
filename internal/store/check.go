package store

import (
	"strings"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// Check refuses a transaction that no store may take, as fault Invalid: too many
// or too large parts, a key that is empty, not UTF-8, holds a zero byte, or is
// written twice. Every engine calls it first.
func Check(conds []Cond, writes []Write) error {
	if len(conds) > MaxWrites || len(writes) > MaxWrites {
		return fault.New(fault.Invalid, "a transaction of %d conditions and %d writes is too large: each may have %d",
			len(conds), len(writes), MaxWrites).WithHint("split it")
	}
	for _, c := range conds {
		if err := checkKey(c.Key); err != nil {
			return err
		}
	}
	seen := make(map[string]struct{}, len(writes))
	for _, w := range writes {
		if err := checkKey(w.Key); err != nil {
			return err
		}
		if len(w.Value) > MaxValue {
			return fault.New(fault.Invalid, "a value of %d bytes is too large: the limit is %d", len(w.Value), MaxValue).At(w.Key)
		}
		if _, twice := seen[w.Key]; twice {
			return fault.New(fault.Invalid, "the key is written twice in one transaction").At(w.Key)
		}
		seen[w.Key] = struct{}{}
	}
	return nil
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fault.New(fault.Invalid, "a key is empty")
	case len(key) > MaxKey:
		return fault.New(fault.Invalid, "a key of %d bytes is too long: the limit is %d", len(key), MaxKey).At(key[:40] + "…")
	case !utf8.ValidString(key), strings.Contains(key, "\x00"):
		return fault.New(fault.Invalid, "the key %q is not text", key)
	}
	return nil
}

// NotFound is what Get returns for a key that is absent.
func NotFound(key string) error {
	return fault.New(fault.NotFound, "there is no such key in the store").At(key)
}
