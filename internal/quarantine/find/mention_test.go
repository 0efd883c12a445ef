package find

import (
	"slices"
	"testing"
)

func TestMentions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"order 4711 failed":                          {"4711"},
		"order_id=4711, customer=\"12\"":             {"4711", "12"},
		"GET /orders/4711?page=2 HTTP/1.1\" 500":     {"4711", "2"},
		"2026-11-22T21:00:03.123Z 10.0.0.1:5432 row": nil,
		"[22/Nov/2026:21:00:03 +0000] took 12ms":     nil,
		"main.go:17: panic at 0xdeadbeef line 33":    nil,
		"id 6F9619FF-8B86-D011-B42D-00C04FC964FF":    {"6f9619ff-8b86-d011-b42d-00c04fc964ff"},
		"12345678901234567890123":                    nil,
	} {
		var got []string
		for _, m := range Mentions(Evidence{Logs: []string{text}}) {
			got = append(got, m.Value)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestNewTemplatesCountMore(t *testing.T) {
	t.Parallel()
	m := Mentions(Evidence{
		Logs:  []string{"2026-11-22 21:00:01 served order 1 in 3ms", "2026-11-22 21:00:02 order 2: can't read size 'x'"},
		Usual: []string{"2026-11-21 10:00:00 served order 77 in 12ms"},
	})
	if len(m) != 2 || m[0].Value != "2" || m[0].Score <= m[1].Score {
		t.Errorf("%+v", m)
	}
}

func TestAbout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		word, table string
		want        float64
	}{
		{"order", "public.orders", 1}, {"orders", "orders", 1}, {"order_id", "orders", 1}, {"category", "categories", 1}, {"order", "order_lines", 0.5},
		{"line", "order_lines", 0.5}, {"id", "orders", 0}, {"user", "orders", 0}, {"address", "addresses", 1},
	} {
		if got := about([]string{tt.word}, tt.table); got != tt.want {
			t.Errorf("%s about %s: %v, want %v", tt.word, tt.table, got, tt.want)
		}
	}
}

func FuzzMentions(f *testing.F) {
	f.Add("order 4711", "usual 1")
	f.Add("\xff\xfe/orders/4711", "")
	f.Fuzz(func(t *testing.T, text, usual string) {
		if m := Mentions(Evidence{Paths: []string{text}, Bodies: []string{text}, Logs: []string{text}, Usual: []string{usual}}); len(m) > maxMentions {
			t.Errorf("%d", len(m))
		}
	})
}
