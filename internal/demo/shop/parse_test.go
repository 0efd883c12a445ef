package shop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

func TestParseBreakage(t *testing.T) {
	t.Parallel()
	for _, h := range Harms() {
		b, err := ParseBreakage(string(h))
		if err != nil || b.How != h {
			t.Errorf("%s: %+v, %v", h, b, err)
		}
		if again, err := ParseBreakage(b.String()); err != nil || again != b {
			t.Errorf("%v is read back as %v, %v", b, again, err)
		}
	}
	for text, want := range map[string]Breakage{
		"flaky":                 {How: Flaky, For: 10 * time.Second},
		"flaky?for=1m30s":       {How: Flaky, For: 90 * time.Second},
		"leaky-release":         {How: LeakyRelease, Well: 40},
		"leaky-release?well=99": {How: LeakyRelease, Well: 99},
	} {
		if got, err := ParseBreakage(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	names := "one of kill, hang, bad-release, leaky-release, poison-row, slow-dependency, full-disk, flaky"
	for text, hint := range map[string]string{
		"":                        names,
		"none":                    names,
		"Kill":                    names,
		"fire?for=5s":             names,
		"kill?for=5s":             "leave out",
		"flaky?well=40":           "for=…",
		"flaky?for=5s&for=6s":     "for=…",
		"flaky?for=1ms":           "such as for=5s",
		"flaky?for=24h":           "such as for=5s",
		"flaky?%":                 "for=…",
		"leaky-release?well=few":  "such as well=40",
		"leaky-release?well=1":    "such as well=40",
		"leaky-release?well=1e9":  "such as well=40",
		"leaky-release?for=5s":    "well=…",
		"poison-row?id=4&price=x": "leave out",
	} {
		if b, err := ParseBreakage(text); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %+v, %v, want a refusal that says %q", text, b, err, hint)
		}
	}
}

func TestParseRemedy(t *testing.T) {
	t.Parallel()
	for _, a := range Acts() {
		r, err := ParseRemedy(string(a))
		if err != nil || r.Act != a {
			t.Errorf("%s: %+v, %v", a, r, err)
		}
		if again, err := ParseRemedy(r.String()); err != nil || again != r {
			t.Errorf("%v is read back as %v, %v", r, again, err)
		}
	}
	if r, err := ParseRemedy("roll-back-badly?well=400"); err != nil || r.Well != 400 {
		t.Errorf("with a setting: %+v, %v", r, err)
	}
	for text, hint := range map[string]string{
		"":                         "one of restart, roll-back, roll-back-badly, repair-row, speed-up, free-disk",
		"repair":                   "one of restart, roll-back",
		"restart?well=40":          "leave out",
		"roll-back-badly?well=-40": "such as well=40",
	} {
		if r, err := ParseRemedy(text); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %+v, %v, want a refusal that says %q", text, r, err, hint)
		}
	}
}

func FuzzBreakage(f *testing.F) {
	for _, seed := range []string{"", "kill", "flaky?for=5s", "leaky-release?well=40", "roll-back-badly?well=40", "restart", "flaky?for=5s&for=6s", "?", "flaky?%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := ParseBreakage(text); err == nil {
			if again, err := ParseBreakage(b.String()); err != nil || again != b {
				t.Fatalf("%+v is read back as %+v, %v", b, again, err)
			}
		}
		if r, err := ParseRemedy(text); err == nil {
			if again, err := ParseRemedy(r.String()); err != nil || again != r {
				t.Fatalf("%+v is read back as %+v, %v", r, again, err)
			}
		}
	})
}

func FuzzStock(f *testing.F) {
	for _, seed := range []string{`{"left":{"1":5}}`, `{"left":{"1":-5}}`, `{"left":null}`, `[]`, `{"left":{"x":1}}`, `{"left":{"1":1e99}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		left, err := parseStock(body)
		if (left == nil) != (err != nil) {
			t.Fatalf("%v with %v", left, err)
		}
		for id, n := range left {
			if n < 0 {
				t.Fatalf("%d of %d", n, id)
			}
		}
	})
}

func TestParseBasket(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]basket{
		"":                nil,
		"1x2":             {{1, 2}},
		"3x1.1x2":         {{1, 2}, {3, 1}},
		"1x2.1x3":         {{1, 3}},
		"1x0.2x-4.-3x1":   nil,
		"1x1000":          {{1, maxQuantity}},
		"x.1.1x.bad.4x1":  {{4, 1}},
		"9999999999999x1": nil,
	} {
		if got := parseBasket(text); got.String() != want.String() {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzBasket(f *testing.F) {
	for _, seed := range []string{"", "1x2", "1x2.3x4", "1x2.1x2", "x..x", "1048576x99", "-1x-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := parseBasket(text)
		if len(b) > maxLines {
			t.Fatalf("%d lines", len(b))
		}
		for i, l := range b {
			if l.Product < 1 || l.Product > maxProductID || l.Quantity < 1 || l.Quantity > maxQuantity {
				t.Fatalf("line out of bounds: %+v", l)
			}
			if i > 0 && b[i-1].Product >= l.Product {
				t.Fatalf("not in order: %v", b)
			}
		}
		if again := parseBasket(b.String()); again.String() != b.String() {
			t.Fatalf("%v is read back as %v", b, again)
		}
	})
}

func FuzzOrder(f *testing.F) {
	for _, seed := range []string{"", "{}", goodOrder, `{"lines":[{"product":1,"quantity":1},{"product":1,"quantity":1}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := parseOrder(body)
		if err != nil {
			return
		}
		if len(w.Lines) > maxLines {
			t.Fatalf("%d lines", len(w.Lines))
		}
		if w.problem() == "" && w.Lines.count() < 1 {
			t.Fatalf("an order of nothing: %+v", w)
		}
	})
}

func FuzzFlag(f *testing.F) {
	for _, seed := range []string{`{"value":true}`, `{"value":"true"}`, `{"value":null}`, `[]`, `{"value":false,"key":"checkout"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := readAnswer[bool](200, body)
		if err != nil {
			if out.Value {
				t.Fatal("a value beside an error")
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("a value from what is not JSON: %q", body)
		}
	})
}
