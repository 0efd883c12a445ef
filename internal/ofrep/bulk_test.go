package ofrep

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

const all = "/ofrep/v1/evaluate/flags"

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// board has a flag of each type, one for servers only, and two with a rule.
func board() []feature.Flag {
	return []feature.Flag{
		{Key: "checkout", Value: raw("true"), Off: raw("false"), Public: true},
		{Key: "checkout~drill", Value: raw("true"), Off: raw("false"), Public: true},
		{Key: "engine", Value: raw(`"full"`), Off: raw(`"none"`), Variants: map[string]json.RawMessage{"light": raw(`"titles"`)}, Public: true,
			Targeting: raw(`{"if":[{"==":[{"var":"country"},"DE"]},"light"]}`)},
		{Key: "limit", Value: raw("10"), Off: raw("0"), Public: true},
		{Key: "page", Value: raw(`{"a":1}`), Off: raw(`{}`), Public: true},
		{Key: "ramp", Value: raw("true"), Off: raw("false"), Public: true, Targeting: raw(`{"fractional":[["on",50],["off",50]]}`)},
		{Key: "secret", Value: raw("true"), Off: raw("false")},
	}
}

// asked sends a request with headers, as "Name: value".
func asked(t *testing.T, s *Server, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// flagsOf reads a bulk answer: values by key, and error codes.
func flagsOf(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	var got struct {
		Flags []struct {
			Key, ErrorCode string
			Value          json.RawMessage
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	out := map[string]string{}
	for _, f := range got.Flags {
		out[f.Key] = f.ErrorCode + string(f.Value)
	}
	return out
}

func TestBulk(t *testing.T) {
	t.Parallel()
	s := server(Compile(append(board(), feature.Flag{Key: "broken", Value: raw("{"), Public: true}), nil))
	for name, c := range map[string]struct {
		context string
		want    map[string]string
	}{
		"nobody":  {`{}`, map[string]string{"checkout": "true", "engine": `"full"`, "limit": "10", "page": `{"a":1}`, "ramp": codeNoKey, "broken": codeParse}},
		"Germany": {`{"context":{"targetingKey":"u1","country":"DE"}}`, map[string]string{"checkout": "true", "engine": `"titles"`, "limit": "10", "page": `{"a":1}`, "ramp": "true", "broken": codeParse}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := flagsOf(t, asked(t, s, "POST", all, c.context))
			if name == "Germany" {
				c.want["ramp"] = got["ramp"] // whichever share it is
				if got["ramp"] != "true" && got["ramp"] != "false" {
					t.Errorf("ramp %s", got["ramp"])
				}
			}
			for key, want := range c.want {
				if got[key] != want {
					t.Errorf("%s is %s, want %s", key, got[key], want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%d flags, want %d: %v", len(got), len(c.want), got)
			}
		})
	}
}

// A pulled lever wins over the rule, and over a context that lacks what it needs.
func TestOrderWins(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), map[string]feature.Order{
		"engine": {Value: raw(`"none"`), Lever: "no-search"}, "ramp": {Value: raw("3")}, "page": {Value: raw(`{"b":2}`), By: "Ada"},
	}))
	got := flagsOf(t, asked(t, s, "POST", all, `{"context":{"country":"DE"}}`))
	if got["engine"] != `"none"` || got["ramp"] != "false" || got["page"] != `{"b":2}` {
		t.Errorf("%v", got)
	}
	w := asked(t, s, "POST", all+"/page", `{}`)
	if want := `{"key":"page","value":{"b":2},"reason":"STATIC","variant":"ordered","metadata":{"by":"Ada"}}`; w.Body.String() != want {
		t.Errorf("%s, want %s", w.Body, want)
	}
}

func TestRuleThatFails(t *testing.T) {
	t.Parallel()
	f := feature.Flag{Key: "x", Value: raw("true"), Off: raw("false"), Public: true}
	f.Targeting = raw(`{"if":[{"<":[{"var":"age"},18]},"off","on"]}`)
	unread := f
	unread.Key, unread.Targeting = "y", raw(`{"no such":[]}`)
	s := server(Compile([]feature.Flag{f, unread}, nil))
	for target, want := range map[string]string{
		all + "/x": `{"key":"x","value":true,"reason":"DEFAULT","variant":"on","metadata":{"problem":"what is compared is not a number"}}`,
		all + "/y": `{"key":"y","value":true,"reason":"STATIC","variant":"on","metadata":{"problem":"the rule can't be read"}}`,
	} {
		w := asked(t, s, "POST", target, `{"context":{"targetingKey":"u","age":"old"}}`)
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
	if w := asked(t, s, "POST", all+"/x", `{"context":{"age":17}}`); !strings.Contains(w.Body.String(), `"value":false,"reason":"TARGETING_MATCH","variant":"off"`) {
		t.Errorf("%s", w.Body)
	}
	if w := asked(t, s, "POST", all+"/x", `{"context":{"targetingKey":5}}`); w.Code != 400 || !strings.Contains(w.Body.String(), codeContext) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	ramp := server(Compile(board(), nil))
	if w := asked(t, ramp, "POST", all+"/ramp", `{"context":{}}`); w.Code != 400 || !strings.Contains(w.Body.String(), `{"key":"ramp","errorCode":"TARGETING_KEY_MISSING"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	timed := append(board(), feature.Flag{Key: "timed", Value: raw("true"), Off: raw("false"), Public: true, Targeting: raw(`{"if":[{"<":[{"var":"$flagd.timestamp"},2000]},"on","off"]}`)})
	for name, flags := range map[string][]feature.Flag{"static": flags(), "rules": board(), "timed": timed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := time.Unix(1000, 0)
			s := New(Options{Now: func() time.Time { return clock }})
			s.Set(Compile(flags, nil).At(1, 1))
			const who = `{"context":{"targetingKey":"u1"}}`
			etag := asked(t, s, "POST", all, who).Header().Get("ETag")
			if len(etag) < 10 || etag[0] != '"' {
				t.Fatalf("ETag %s", etag)
			}
			for _, sent := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
				w := asked(t, s, "POST", all, who, "If-None-Match: "+sent)
				if w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != etag {
					t.Errorf("%s: %d %s %s", sent, w.Code, w.Header().Get("ETag"), w.Body)
				}
			}
			s.Set(Compile(flags, nil).At(1, 2)) // something else moved
			if w := asked(t, s, "POST", all+"?flagConfigEtag=a&flagConfigLastModified=5", who, "If-None-Match: "+etag); w.Code != 304 {
				t.Errorf("%d after a revision that changed no flag", w.Code)
			}
			again := New(Options{Now: s.opts.Now})
			again.Set(Compile(flags, nil).At(2, 9))
			if w := asked(t, again, "POST", all, who, "If-None-Match: "+etag); w.Code != 304 {
				t.Errorf("%d after a restart", w.Code)
			}
			if name == "timed" {
				clock = time.Unix(3000, 0)
				if w := asked(t, s, "POST", all, who, "If-None-Match: "+etag); w.Code != 200 {
					t.Errorf("%d although time went on", w.Code)
				}
			}
			if name == "rules" {
				if w := asked(t, s, "POST", all, `{"context":{"targetingKey":"u1","country":"DE"}}`, "If-None-Match: "+etag); w.Code != 200 {
					t.Errorf("%d for another context", w.Code)
				}
			}
			s.Set(Compile(flags, orders()).At(1, 3))
			if w := asked(t, s, "POST", all, who, "If-None-Match: "+etag); w.Code != 200 || w.Header().Get("ETag") == etag {
				t.Errorf("%d after a flip", w.Code)
			}
		})
	}
}

// Pages never see what is for servers, by whichever way they ask.
func TestPagesSeePublicFlagsOnly(t *testing.T) {
	t.Parallel()
	order := map[string]feature.Order{"checkout": {Value: raw("false"), By: "Ada Lovelace", Incident: "01J"}, "secret": {Value: raw("false"), By: "Ada Lovelace"}}
	s := server(Compile(board(), order))
	for _, target := range []string{all, all + "/secret", all + "/checkout", all + "/checkout~drill"} {
		w := asked(t, s, "POST", target, `{"context":{"targetingKey":"u"}}`, "Origin: https://shop.example.com")
		if strings.Contains(w.Body.String(), "Ada") || w.Code == 200 && strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %s", target, w.Body)
		}
		if hidden := strings.HasSuffix(target, "secret") || strings.HasSuffix(target, "~drill"); hidden != (w.Code == 404) {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if w := asked(t, s, "POST", all+"/secret", `{}`); w.Code != 200 || !strings.Contains(w.Body.String(), "Ada Lovelace") {
		t.Errorf("a server is told %d %s", w.Code, w.Body)
	}
}

func FuzzBulk(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"context":{"targetingKey":"a","country":"DE"}}`, `{"context":{"a":{"b":[1,2,{"c":null}]}}}`, "\xff", `{"a":1,"context":{}}`, `{"context":{"targetingKey":{}}}`} {
		f.Add([]byte(seed), `"x"`)
	}
	s := server(Compile(board(), nil))
	f.Fuzz(func(t *testing.T, body []byte, etag string) {
		r := httptest.NewRequest("POST", all, strings.NewReader(string(body)))
		r.Header["If-None-Match"] = []string{etag}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != 304 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d, not JSON: %s", w.Code, w.Body)
		}
		var want struct{ Context json.RawMessage }
		if w.Code == 200 && len(strings.TrimSpace(string(body))) > 0 && json.Unmarshal(body, &want) != nil {
			t.Fatalf("taken: %q", body)
		}
	})
}

// member finds what encoding/json finds, but for names that differ in case.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{`{}`, `{"context":{"a":"}"}}`, `{ "x" : [1,{"context":2}] , "context" : -1.5e3 }`, `{"cont\u0065xt":null,"a":"\\\""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || !json.Valid(body) {
			return
		}
		got, err := member(body, "context")
		var want map[string]json.RawMessage
		if werr := json.Unmarshal(body, &want); (werr != nil || body[0] != '{') != (err != nil) && body[0] != 'n' && body[0] == '{' {
			t.Fatalf("%q: %v, want %v", body, err, werr)
		}
		if err == nil && string(got) != string(want["context"]) {
			t.Fatalf("%q: %q, want %q", body, got, want["context"])
		}
	})
}

// Whatever is wrong with some flags, and with who asks, the others are answered as ever.
func TestBadFlagsHarmNoOther(t *testing.T) {
	t.Parallel()
	const good = "checkout"
	bad := []feature.Flag{
		{Key: "no-value", Public: true}, {Key: "other-type", Value: raw("true"), Off: raw(`"no"`), Public: true}, {Key: "list", Value: raw("[1]"), Off: raw("[]"), Public: true},
		{Key: "operator", Value: raw("true"), Off: raw("false"), Targeting: raw(`{"nonsense":[1]}`), Public: true},
		{Key: "circle", Value: raw("true"), Off: raw("false"), Targeting: raw(`{"if":[{"$ref":"circle"},"on"]}`), Public: true},
		{Key: "two", Value: raw("true"), Off: raw("false"), Targeting: raw(`{"and":[1],"or":[1]}`), Public: true},
		{Key: "no-json", Value: raw("true"), Off: raw("false"), Targeting: raw(`{`), Public: true},
		{Key: "variant", Value: raw("true"), Off: raw("false"), Variants: map[string]json.RawMessage{"on": raw("5")}, Public: true},
		{Key: "not\xffutf8", Value: raw("true"), Off: raw("false"), Public: true}, {Key: "", Value: raw("true"), Off: raw("false"), Public: true},
		{Key: good, Value: raw("false"), Off: raw("true"), Public: true}, // again
	}
	s := server(Compile(append([]feature.Flag{{Key: good, Value: raw("true"), Off: raw("false"), Public: true}}, bad...), map[string]feature.Order{
		"operator": {Value: raw("{")}, "circle": {Share: 50}, "no-value": {Value: raw("5")},
	}))
	for name, body := range map[string]string{
		"nobody": `{}`, "somebody": `{"context":{"targetingKey":"u1"}}`, "not UTF-8": "{\"context\":{\"targetingKey\":\"\xff\xfe\",\"\xc3\":1}}",
		"half a character": `{"context":{"targetingKey":"\ud83d"}}`, "deep": `{"context":{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`,
	} {
		w := asked(t, s, "POST", all, body)
		if got := flagsOf(t, w); got[good] != "true" || !strings.HasPrefix(got["no-value"], codeParse) || got["operator"] != "false" {
			t.Errorf("%s: %v", name, got)
		}
		if w := asked(t, s, "POST", one, body); w.Code != 200 || !strings.Contains(w.Body.String(), `"value":true`) {
			t.Errorf("%s, one: %d %s", name, w.Code, w.Body)
		}
	}
	for _, key := range []string{"no-value", "other-type", "list"} {
		if w := asked(t, s, "POST", singlePath+key, `{}`); w.Code != 400 || !strings.Contains(w.Body.String(), codeParse) {
			t.Errorf("%s: %d %s", key, w.Code, w.Body)
		}
	}
}
