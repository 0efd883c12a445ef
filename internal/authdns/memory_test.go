package authdns

import "testing"

// TestHurried: with little in use much garbage may pile up, with much no more than ever.
func TestHurried(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: 600, 4 << 20: 600, 20 << 20: 450, 32 << 20: 300, 60 << 20: 150, 150 << 20: 100, 1 << 40: 100} {
		if got := hurried(live); got != want {
			t.Errorf("%d octets in use: %d %%, want %d", live, got, want)
		}
	}
}

// TestMemoryShare: what is said is in force until it is taken back, and large zones come
// first.
func TestMemoryShare(t *testing.T) { // not parallel: it changes the process
	var m Memory
	defer m.Expect(0)
	in := func(what string, least, most int) {
		t.Helper()
		if m.share < least || m.share > most {
			t.Errorf("%s: %d %%", what, m.share)
		}
	}
	m.Hurry(false)
	in("at rest", normalShare, normalShare)
	m.Hurry(true)
	in("in a hurry", normalShare, hurriedShare)
	m.Expect(largeText)
	in("with large zones", largeShare, largeShare)
	m.Hurry(true)
	in("with large zones in a hurry", largeShare, largeShare)
	m.Expect(0)
	in("without them", normalShare, normalShare)
}
