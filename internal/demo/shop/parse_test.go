package shop

import (
	"encoding/json"
	"testing"
)

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
		value, err := parseFlag(body)
		if err != nil {
			if value {
				t.Fatal("a value beside an error")
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("a value from what is not JSON: %q", body)
		}
	})
}
