package zone

import (
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

func TestShrunk(t *testing.T) {
	t.Parallel()
	z, err := Parse(Source{Apex: "example.com.", File: "t.zone", Line: 1, TTL: 60, NS: []string{"ns.example.net."}, Text: strings.Repeat("a IN A 192.0.2.1\n", 1) + "b IN A 192.0.2.1\nc IN A 192.0.2.1\nd IN A 192.0.2.1\n"})
	if err != nil || z.Size() != 6 {
		t.Fatal(z.Size(), err)
	}
	for before, ok := range map[int]bool{0: true, 6: true, 9: true, 10: true, 12: true, 13: false, 1000: false, 3: true} {
		if err := Shrunk(z, before); (err == nil) != ok || err != nil && (fault.KindOf(err) != fault.Refused || !strings.Contains(err.Error(), "t.zone")) {
			t.Errorf("of %d: %v", before, err)
		}
	}
}
