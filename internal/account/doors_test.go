package account

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// clock is set by hand.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)} }

// count tries until one is refused and says how many were not, and the wait.
func count(t *testing.T, d *doors, name, from string) (n int, wait time.Duration) {
	t.Helper()
	for ; n < 1000; n++ {
		if err := d.try(name, from); err != nil {
			var soon *TooSoon
			if !errors.As(err, &soon) || soon.Wait <= 0 {
				t.Fatalf("%v: want how long to wait", err)
			}
			return n, soon.Wait
		}
	}
	t.Fatal("nobody is ever refused")
	return 0, 0
}

func TestDoorsByAddress(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := newDoors(c.now)
	for i := range tries {
		if err := d.try(fmt.Sprint("name", i), "192.0.2.1:1000"); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	for _, from := range []string{"192.0.2.1:2000", "192.0.2.1", "[::ffff:192.0.2.1]:1"} {
		if n, wait := count(t, d, "ada", from); n != 0 || wait != tryEvery {
			t.Errorf("%s has %d tries more, and waits %s", from, n, wait)
		}
	}
	if err := d.try("ada", "192.0.2.2:1000"); err != nil {
		t.Errorf("another address: %v", err)
	}
	c.t = c.t.Add(tryEvery - time.Second)
	if n, wait := count(t, d, "ada", "192.0.2.1:1"); n != 0 || wait != time.Second {
		t.Errorf("%d tries too early, and waits %s", n, wait)
	}
	c.t = c.t.Add(wait(t, d, "192.0.2.1:1"))
	if n, _ := count(t, d, "ada", "192.0.2.1:1"); n != 1 {
		t.Errorf("%d tries after the wait that was told, want 1", n)
	}
	c.t = c.t.Add(-time.Hour)
	if n, wait := count(t, d, "ada", "192.0.2.1:1"); n != 0 || wait > tryEvery {
		t.Errorf("the clock was set back: %d tries, waits %s", n, wait)
	}
	c.t = c.t.Add(tryEvery)
	if err := d.try("ada", "192.0.2.1:1"); err != nil {
		t.Errorf("the clock was set back: %v", err)
	}
}

func wait(t *testing.T, d *doors, from string) time.Duration {
	t.Helper()
	_, w := count(t, d, "ada", from)
	return w
}

func TestDoorsOfIPv6(t *testing.T) {
	t.Parallel()
	d := newDoors(newClock().now)
	for i := range tries {
		if err := d.try(fmt.Sprint("name", i), fmt.Sprintf("[2001:db8:0:1::%x]:1000", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := count(t, d, "ada", "[2001:db8:0:1:ffff::]:1000"); n != 0 {
		t.Error("one person's /64 gives new tries with each address")
	}
	if err := d.try("ada", "[2001:db8:0:2::1]:1000"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

// TestNobodyIsLockedOut: strangers with many addresses use up a name's tries for as
// long as they like; its person still gets in from theirs.
func TestNobodyIsLockedOut(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := newDoors(c.now)
	attack := func(round int) (in int) {
		for i := range 200 {
			if d.try("ada", fmt.Sprintf("198.51.%d.%d", round%200, i)) == nil {
				in++
			}
		}
		return in
	}
	for round := range 30 {
		attack(round)
		c.t = c.t.Add(time.Second)
	}
	n, wait := count(t, d, "ada", "192.0.2.1")
	if n < 1 || wait > time.Minute {
		t.Fatalf("the person has %d tries and waits %s; want one or more, and a minute at most", n, wait)
	}
	for end := c.t.Add(wait); c.t.Before(end); c.t = c.t.Add(time.Second) {
		attack(0)
	}
	if in := attack(150); in < 100 { // from fresh addresses: nothing is left for the name itself
		t.Errorf("%d of 200 strangers tried", in)
	}
	if err := d.try("ada", "192.0.2.1"); err != nil {
		t.Errorf("after the wait that was told: %v", err)
	}
	// One address gains little by it.
	c.t = c.t.Add(time.Hour)
	in := 0
	for range 3600 {
		attack(7)
		if d.try("ada", "203.0.113.1") == nil {
			in++
		}
		c.t = c.t.Add(time.Second)
	}
	if most := tries + alone + int(time.Hour/aloneEvery) + 1; in > most {
		t.Errorf("one address had %d tries in an hour, more than %d", in, most)
	}
}

func TestForgive(t *testing.T) {
	t.Parallel()
	d := newDoors(newClock().now)
	for i := range 100 { // an office in a crisis
		name := fmt.Sprint("name", i)
		if err := d.try(name, "192.0.2.1:1"); err != nil {
			t.Fatalf("person %d: %v", i, err)
		}
		d.forgive(name, "192.0.2.1:1")
	}
	d.forgive("ada", "192.0.2.9") // nothing to forgive
	if n, _ := count(t, d, "ada", "192.0.2.1:1"); n != tries {
		t.Errorf("%d tries, want %d: forgiveness is no credit", n, tries)
	}
}

func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := newDoors(c.now)
	for range tries {
		_ = d.try("ada", "192.0.2.1")
	}
	for i := range 3 * maxBuckets {
		_ = d.try(fmt.Sprint("name", i), fmt.Sprintf("10.%d.%d.1", i/250, i%250))
		if i%100 == 0 {
			c.t = c.t.Add(time.Millisecond)
		}
	}
	for _, b := range []buckets{d.addresses, d.names, d.pairs} {
		if len(b.m) > maxBuckets {
			t.Errorf("%d buckets", len(b.m))
		}
	}
	c.t = c.t.Add(time.Hour) // all are full again, and go first
	_ = d.try("ada", "192.0.2.1")
	if n := len(d.names.m); n > maxBuckets {
		t.Errorf("%d names", n)
	}
}
