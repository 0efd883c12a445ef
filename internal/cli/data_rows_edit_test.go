package cli

import (
	"slices"
	"testing"
)

// A correction names a table, a key and a cell; there may be blanks in the key and in the
// value, and equals signs in the value.
func TestCorrectionsAsTheyAreTyped(t *testing.T) {
	for typed, want := range map[string][]string{
		"orders 4711 note=(removed)":                {"orders", "4711", "note", "(removed)"},
		"public.line 4711,2 sku=a b = c":            {"public.line", "4711|2", "sku", "a b = c"},
		"rate 2026-11-23 14:30:00+00 value=1.5":     {"rate", "2026-11-23 14:30:00+00", "value", "1.5"},
		"person Ann de la Cruz mail=ann@example.se": {"person", "Ann de la Cruz", "mail", "ann@example.se"},
		"token YWJj== state=":                       {"token", "YWJj==", "state", ""},
	} {
		out, err := editsOf([]string{typed})
		if err != nil || len(out) != 1 {
			t.Errorf("%q: %v", typed, err)
			continue
		}
		key := ""
		for i, k := range out[0].Key {
			key += []string{"", "|"}[min(i, 1)] + k
		}
		if got := []string{out[0].Table, key, out[0].Set[0].Column, *out[0].Set[0].Value}; !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
	for _, typed := range []string{"", "orders", "orders 4711", "orders 4711 note", "orders 4711 =x"} {
		if _, err := editsOf([]string{typed}); err == nil {
			t.Errorf("%q is taken for a correction", typed)
		}
	}
}
