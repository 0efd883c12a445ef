package ledger_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/ledger"
	"lifeboat/internal/store"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func deploy(id string, at time.Time) ledger.Change {
	return ledger.Change{ID: id, At: at, Site: "shop", Source: "github", Kind: ledger.Deploy, Who: "Ada", What: "release 412"}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	yes := true
	fine := deploy("deploy-4711", now)
	fine.Ref, fine.Host, fine.Service, fine.Reversible = "https://git.example.com/shop/commit/1a2b3c", "web1.example.com", "checkout", &yes
	if err := fine.Check(); err != nil {
		t.Fatal(err)
	}
	fine.What = strings.Repeat("é", ledger.MaxWhat)
	if err := fine.Check(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range ledger.Kinds() {
		c := fine
		c.Kind = kind
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, c := range []struct {
		place  string
		change func(*ledger.Change)
	}{
		{"id", func(c *ledger.Change) { c.ID = "" }},
		{"id", func(c *ledger.Change) { c.ID = "a b" }},
		{"id", func(c *ledger.Change) { c.ID = "é" }},
		{"id", func(c *ledger.Change) { c.ID = "a\x00" }},
		{"id", func(c *ledger.Change) { c.ID = strings.Repeat("x", ledger.MaxID+1) }},
		{"at", func(c *ledger.Change) { c.At = time.Time{} }},
		{"at", func(c *ledger.Change) { c.At = time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC) }},
		{"at", func(c *ledger.Change) { c.At = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)) }},
		{"site", func(c *ledger.Change) { c.Site = strings.Repeat("x", ledger.MaxName+1) }},
		{"source", func(c *ledger.Change) { c.Source = "" }},
		{"kind", func(c *ledger.Change) { c.Kind = "" }},
		{"kind", func(c *ledger.Change) { c.Kind = "Deploy" }},
		{"who", func(c *ledger.Change) { c.Who = "Ada\nGrace" }},
		{"what", func(c *ledger.Change) { c.What = " " }},
		{"what", func(c *ledger.Change) { c.What = "one\u2028two" }},
		{"what", func(c *ledger.Change) { c.What = "\xff" }},
		{"what", func(c *ledger.Change) { c.What = "\x1b[31m" }},
		{"what", func(c *ledger.Change) { c.What = strings.Repeat("é", ledger.MaxWhat+1) }},
		{"ref", func(c *ledger.Change) { c.Ref = strings.Repeat("x", ledger.MaxRef+1) }},
		{"host", func(c *ledger.Change) { c.Host = strings.Repeat("x", ledger.MaxHost+1) }},
		{"service", func(c *ledger.Change) { c.Service = "a\tb" }},
	} {
		bad := fine
		c.change(&bad)
		err := bad.Check()
		if fault.KindOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), c.place+": ") {
			t.Errorf("%s: %v", c.place, err)
		}
	}
}

// Whatever passes Check fits into a store, keeps its time and place in the order,
// and reads back as it was.
func FuzzCheck(f *testing.F) {
	f.Add("deploy-1", int64(1), int64(2), "release 412", "shop")
	f.Add("a/b-c", int64(1795316400e9), int64(1795316400e9+1), "é", "")
	f.Add("\x00", int64(-1), int64(1<<62), "\n", "\xff")
	f.Fuzz(func(t *testing.T, id string, at, later int64, what, site string) {
		a := ledger.Change{ID: id, At: time.Unix(0, at), Source: "s", Kind: ledger.Other, What: what, Site: site}
		b := a
		b.At = time.Unix(0, later)
		if a.Check() != nil || b.Check() != nil {
			return
		}
		x, y := ledger.Writes(a), ledger.Writes(b)
		if err := store.Check(nil, x); err != nil {
			t.Fatal(err)
		}
		if got := strings.Compare(x[0].Key, y[0].Key); got != a.At.Compare(b.At) {
			t.Fatalf("%s and %s are in another order than their times", x[0].Key, y[0].Key)
		}
		var back ledger.Change
		if err := json.Unmarshal(x[0].Value, &back); err != nil || !back.At.Equal(a.At) || back.ID != a.ID || back.What != a.What {
			t.Fatalf("%+v became %+v, %v", a, back, err)
		}
		if x[1].Key != "change-id/"+id || string(x[1].Value) != x[0].Key {
			t.Fatalf("%s names %s", x[1].Key, x[1].Value)
		}
	})
}
