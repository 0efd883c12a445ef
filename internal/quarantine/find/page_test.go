package find_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/find"
)

// Pages are asked at an address by the name that visitors use.
func TestByPages(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != "shop.example.com":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/orders/4711", strings.HasPrefix(r.URL.Path, "/broken"):
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(s.Close)
	site := find.Site{Scheme: "http", Host: "shop.example.com", Address: netip.MustParseAddrPort(s.Listener.Addr().String())}
	list := func(pages ...string) []find.Candidate {
		var out []find.Candidate
		for _, p := range pages {
			out = append(out, find.Candidate{Table: "orders", Key: quarantine.Key{p[strings.LastIndex(p, "/")+1:]}, Page: p})
		}
		return out
	}
	for name, tt := range map[string]struct {
		list  []find.Candidate
		rows  int
		words string
	}{
		"one":          {list("/orders/1", "/orders/4711", "/orders/2"), 1, "Row 4711 of orders breaks /orders/4711: the page answers 500, and 2 other pages of its kind load."},
		"none":         {list("/orders/1", "/orders/2"), 0, "All 2 pages load"},
		"all":          {list("/broken/1", "/broken/2"), 0, "it is not one row"},
		"without page": {[]find.Candidate{{Table: "a", Key: quarantine.Key{"1"}}}, 0, "No candidate has a page"},
	} {
		f, err := find.ByPages(t.Context(), tt.list, site.Ask)
		if err != nil || len(f.Rows) != tt.rows || !strings.Contains(f.Words, tt.words) {
			t.Errorf("%s: %+v %v", name, f, err)
		}
	}
	site.Address = netip.MustParseAddrPort("127.0.0.1:1")
	if a, err := site.Ask(context.Background(), "/"); err != nil || !a.Harm {
		t.Errorf("%+v %v", a, err)
	}
}
