package ofrep

import (
	"fmt"
	"strings"
	"testing"

	"lifeboat/internal/feature"
)

// going are orders under which the checkout goes back in stages.
func going(share int) map[string]feature.Order {
	o := orders()["checkout"]
	o.Share = share
	return map[string]feature.Order{"checkout": o, "engine": {Value: raw(`"none"`), Lever: "less-search", Share: share}}
}

// While a lever goes back, one question and all at once come to the same for the same
// person, and each stage has an ETag of its own.
func TestStages(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), nil))
	const people = 200
	etags, before := map[string]int{}, 0
	for _, share := range []int{0, 1, 5, 25, 50, 100} {
		s.Set(Compile(board(), going(share)))
		back := 0
		for i := range people {
			body := fmt.Sprintf(`{"context":{"targetingKey":"u%d","country":"DE"}}`, i)
			w := asked(t, s, "POST", all, body, "Origin: https://shop.example.com")
			bulk := flagsOf(t, w)
			alone := asked(t, s, "POST", one, body).Body.String()
			if !strings.Contains(alone, `"value":`+bulk["checkout"]+`,`) {
				t.Fatalf("u%d is told %s among all, and alone %s", i, bulk["checkout"], alone)
			}
			if bulk["checkout"] == "true" {
				back++
			}
			if bulk["engine"] != `"none"` && bulk["engine"] != `"titles"` {
				t.Fatalf("the engine of u%d is %s", i, bulk["engine"])
			}
			if i == 0 {
				etags[w.Header().Get("ETag")] = share
				again := asked(t, s, "POST", all, body, "If-None-Match: "+w.Header().Get("ETag"))
				if again.Code != 304 {
					t.Errorf("at %d percent the same is told again: %d", share, again.Code)
				}
			}
		}
		if back < before || share == 0 && back > 0 || share == 100 && back < people {
			t.Errorf("at %d percent %d of %d are back, before it were %d", share, back, people, before)
		}
		before = back
	}
	if len(etags) != 6 {
		t.Errorf("%d ETags of 6 stages", len(etags))
	}
}

// What is told of a stage: servers hear who closed it, pages do not.
func TestAStageIsTold(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), going(25)))
	const nobody = `{"key":"checkout","value":false,"reason":"SPLIT","variant":"off","metadata":{"by":"anna","incident":"01J","lever":"close-checkout","share":"25","since":"2026-03-12T02:07:00Z"}}`
	if got := asked(t, s, "POST", one, `{}`).Body.String(); got != nobody {
		t.Errorf("%s\nwant %s", got, nobody)
	}
	page := asked(t, s, "POST", one, `{}`, "Origin: https://shop.example.com").Body.String()
	if strings.Contains(page, "anna") || !strings.Contains(page, `"share":"25"`) {
		t.Errorf("a page is told %s", page)
	}
}
