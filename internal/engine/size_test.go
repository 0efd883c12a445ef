package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/zone"
)

// A zone that has lost most of its records since it was published last is refused, with
// what to write where that is right.
func TestSizes(t *testing.T) {
	t.Parallel()
	sized := func(n int) []*zone.Zone {
		var b strings.Builder
		for i := range n - 2 {
			fmt.Fprintf(&b, "h%d IN A 192.0.2.1\n", i)
		}
		z, err := zone.Parse(zone.Source{Apex: "example.com.", File: "x.zone", Line: 1, TTL: 60, NS: []string{"ns.example.net."}, Text: b.String()})
		must(t, err)
		return []*zone.Zone{z}
	}
	s := mem.New(mem.Options{})
	if got, err := engine.Sizes(t.Context(), s, sized(5), nil); err != nil || got["example.com."] != 5 {
		t.Fatalf("a first start: %v, %v", got, err)
	}
	text, err := json.Marshal(100)
	must(t, err)
	_, err = s.Txn(t.Context(), nil, []store.Write{{Key: "size/example.com.", Value: text}})
	must(t, err)
	for n, ok := range map[int]bool{100: true, 50: true, 49: false} {
		if _, err := engine.Sizes(t.Context(), s, sized(n), nil); (err == nil) != ok {
			t.Errorf("%d of 100: %v", n, err)
		}
	}
	_, err = engine.Sizes(t.Context(), s, sized(40), map[string]int{"example.com.": 41})
	if fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "at_least: 40") || !strings.Contains(err.Error(), "x.zone") {
		t.Errorf("40 of 100, where 41 are enough: %v", err)
	}
	if _, err := engine.Sizes(t.Context(), s, sized(40), map[string]int{"example.com.": 40}); err != nil {
		t.Errorf("40 of 100, where 40 are enough: %v", err)
	}
}
