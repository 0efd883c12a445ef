package zone

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSerialNewer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{1, 0, true}, {0, 1, false}, {7, 7, false},
		{0, 1<<32 - 1, true}, {44, 1<<31 + 45, true}, {1 << 31, 0, false}, {0, 1 << 31, false},
		{1<<31 - 1, 0, true}, {2026010102, 2026010101, true},
	} {
		if got := SerialNewer(c.a, c.b); got != c.want {
			t.Errorf("SerialNewer(%d, %d) = %v", c.a, c.b, got)
		}
	}
}

func TestSerialProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a, b := rapid.Uint32().Draw(r, "a"), rapid.Uint32().Draw(r, "b")
		next := NextSerial(a)
		if next == 0 || !SerialNewer(next, a) || SerialNewer(a, next) {
			r.Fatalf("after %d comes %d", a, next)
		}
		if SerialNewer(a, b) && SerialNewer(b, a) {
			r.Fatalf("%d and %d are newer than each other", a, b)
		}
		if a != b && a-b != 1<<31 && !SerialNewer(a, b) && !SerialNewer(b, a) {
			r.Fatalf("neither of %d and %d is newer", a, b)
		}
	})
}
