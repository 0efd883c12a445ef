package ofrep

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"lifeboat/internal/feature"
)

func copyKeys(closed bool) feature.Access {
	a := feature.Access{Keys: []feature.Key{{Name: "beside", SHA256: hash("copy-key"), For: feature.ForCopies, PerSecond: 100}}}
	if closed {
		a.Keys = append(a.Keys, feature.Key{Name: "shop", SHA256: hash("shop-key"), For: feature.ForServers}, feature.Key{Name: "pages", SHA256: hash("page-key"), For: feature.ForPages})
	}
	return a
}

// Only who has a key for it is handed the flags, whether or not others need keys.
func TestWhoMayCopy(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{false, true} {
		s := server(Compile(board(), going(25)))
		s.Allow(copyKeys(closed))
		for header, want := range map[string]int{
			"": 401, "Authorization: Bearer copy-key": 200, "X-API-Key: copy-key": 200, "X-API-Key: shop-key": 403, "X-API-Key: page-key": 403, "X-API-Key: nobody": 401,
			"Origin: https://shop.example.com": 401,
		} {
			if !closed && want == 403 {
				want = 401
			}
			var h []string
			if header != "" {
				h = append(h, header)
			}
			w := asked(t, s, "GET", copyPath, "", h...)
			if w.Code != want || w.Header().Get("Access-Control-Allow-Origin") != "" || want != 200 && strings.Contains(w.Body.String(), "targeting") {
				t.Errorf("closed %t, %q: %d %s", closed, header, w.Code, w.Body)
			}
		}
		for header, want := range map[string]int{"": 200, "X-API-Key: nobody": 200, "X-API-Key: copy-key": 200} { // a key for copies closes nothing
			if closed && header != "X-API-Key: copy-key" {
				want = 401
			}
			if w := asked(t, s, "POST", one, "{}", append([]string{"Accept: */*"}, header)...); w.Code != want {
				t.Errorf("closed %t, one flag with %q: %d", closed, header, w.Code)
			}
		}
		if w := asked(t, s, "POST", copyPath, "", "X-API-Key: copy-key"); w.Code != 405 {
			t.Errorf("by POST: %d", w.Code)
		}
	}
	a := copyKeys(false)
	if a.Own() != "" || copyKeys(true).Own() == "" {
		t.Error("lifeboat asks itself with a key where none is needed, or without where one is")
	}
}

// A copy of what is handed out answers as the one that handed it out does.
func TestACopyAnswersTheSame(t *testing.T) {
	t.Parallel()
	board := append(board(), feature.Flag{Key: "broken", Value: raw("{"), Public: true})
	from := server(Compile(board, going(25)))
	from.Allow(copyKeys(false))
	w := asked(t, from, "GET", copyPath, "", "X-API-Key: copy-key")
	var c Copy
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || c.Format != CopyFormat {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	to := server(Compile(c.Features, c.Orders))
	for _, who := range []string{`{}`, `{"targetingKey":"u1","country":"DE"}`, `{"targetingKey":"u2"}`, `{"targetingKey":5}`} {
		for _, path := range []string{all, one, singlePath + "engine", singlePath + "ramp", singlePath + "broken", singlePath + "secret", singlePath + "nothing"} {
			body := `{"context":` + who + `}`
			x, y := asked(t, from, "POST", path, body), asked(t, to, "POST", path, body)
			if x.Code != y.Code || x.Body.String() != y.Body.String() || x.Header().Get("ETag") != y.Header().Get("ETag") {
				t.Errorf("%s for %s: %d %s\nthe copy: %d %s", path, who, x.Code, x.Body, y.Code, y.Body)
			}
		}
	}
}

// What a copy would answer otherwise is told; what it would not is not.
func TestWhenACopyIsTold(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), nil).At(1, 1))
	s.Allow(copyKeys(false))
	ask := func(tag string) *httptest.ResponseRecorder {
		return asked(t, s, "GET", copyPath, "", "X-API-Key: copy-key", "If-None-Match: "+tag)
	}
	tag := ask("").Header().Get("ETag")
	s.Set(Compile(board(), map[string]feature.Order{"checkout~drill": {Value: raw("false")}}).At(1, 2))
	if w := ask(tag); w.Code != 304 || w.Header().Get(RevisionHeader) != "1.2" {
		t.Errorf("of a drill: %d, revision %s", w.Code, w.Header().Get(RevisionHeader))
	}
	changed := board()
	changed[2].Variants = map[string]json.RawMessage{"light": raw(`"headlines"`)}
	s.Set(Compile(changed, nil).At(1, 3))
	if w := ask(tag); w.Code != 200 {
		t.Errorf("of a variant's value: %d", w.Code)
	}
	if c := s.Heard().Copies; c.Clients != 1 || c.Heard != 1 {
		t.Errorf("counted %+v", c)
	}
}

// The ETag for pages says when a value that only a rule names has changed.
func TestAVariantsValueIsInTheTag(t *testing.T) {
	t.Parallel()
	const who = `{"context":{"targetingKey":"u1","country":"DE"}}`
	s := server(Compile(board(), nil))
	tag := asked(t, s, "POST", all, who).Header().Get("ETag")
	changed := board()
	changed[2].Variants = map[string]json.RawMessage{"light": raw(`"headlines"`)}
	s.Set(Compile(changed, nil))
	if w := asked(t, s, "POST", all, who, "If-None-Match: "+tag); w.Code != 200 || !strings.Contains(w.Body.String(), "headlines") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTooLargeToCopy(t *testing.T) {
	t.Parallel()
	var many []feature.Flag
	for range MaxCopy/(16<<10) + 1 {
		many = append(many, feature.Flag{Key: "k" + string(rune('a'+len(many)%26)) + strings.Repeat("x", len(many)%100) + strings.Repeat("y", len(many)/26%100), Value: raw(`"` + strings.Repeat("v", 16<<10-2) + `"`), Off: raw(`""`)})
	}
	s := server(Compile(many, nil))
	s.Allow(copyKeys(false))
	if w := asked(t, s, "GET", copyPath, "", "X-API-Key: copy-key"); w.Code != 500 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
