package ofrep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

// The values of the flags that are compared, by variant.
var variants = map[string]string{"on": "value of on", "off": "value of off", "a": "value of a", "b": "value of b", "1": "value of 1", "true": "value of true"}

// question is a flag's rule and who asks.
type question struct {
	Key     string         `json:"key"`
	Context map[string]any `json:"context"`
	rule    any
}

// opinion is what flagd says.
type opinion struct{ Value, Variant, Reason, Error string }

// TestAgreesWithFlagd follows random rules for random contexts, and those that are
// written down below, and asks flagd's own evaluator the same. Where its two ways to
// follow a rule differ from each other, nobody is right.
func TestAgreesWithFlagd(t *testing.T) {
	t.Parallel()
	count := 600
	seed := uint64(20261122)
	if os.Getenv("LIFEBOAT_SOAK") != "" {
		count, seed = 10_000, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := &maker{rand.New(rand.NewPCG(seed, 1))}
	var all []question
	for i, q := range written(t) {
		q.Key = "written-" + strconv.Itoa(i)
		all = append(all, q)
	}
	for i := range count {
		all = append(all, question{Key: "flag-" + strconv.Itoa(i), rule: random.rule(), Context: random.context()})
	}
	opinions := consult(t, all)
	compared, split, failed := 0, 0, 0
	for i, q := range all {
		one, two := opinions[i][0], opinions[i][1]
		if one != two {
			split++
			continue
		}
		compared++
		if one.Error != "" {
			failed++
		}
		if told := differ(q, one); told != "" {
			rule, _ := json.Marshal(q.rule)
			context, _ := json.Marshal(q.Context)
			t.Errorf("%s: %s\nrule %s\ncontext %s", q.Key, told, rule, context)
		}
	}
	t.Logf("%d compared, of which %d fail; %d where flagd's two ways differ", compared, failed, split)
	if compared < len(all)*8/10 || failed > compared/2 {
		t.Errorf("too little is compared")
	}
}

// differ asks ourselves and says how that differs from flagd.
func differ(q question, want opinion) string {
	rule, _ := json.Marshal(q.rule)
	f := feature.Flag{Key: q.Key, Value: str(variants["on"]), Off: str(variants["off"]), Targeting: rule, Variants: map[string]json.RawMessage{}}
	for name, v := range variants {
		if name != "on" && name != "off" {
			f.Variants[name] = str(v)
		}
	}
	p, err := feature.Prepare(f, nil)
	if err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	raw, _ := json.Marshal(q.Context)
	c, err := feature.ReadContext(raw, time.Now())
	if err != nil {
		return fmt.Sprintf("context refused: %v", err)
	}
	got := p.Evaluate(c)
	var value string
	if json.Unmarshal(got.Value, &value) != nil {
		return "no text came"
	}
	if got.NoKey {
		if key, _ := q.Context["targetingKey"].(string); key != "" {
			return "said that there is no targetingKey"
		}
		return ""
	}
	if (want.Error != "") != (got.Problem != "") {
		return fmt.Sprintf("problem %q, flagd's %q (%s)", got.Problem, want.Error, want.Value)
	}
	if want.Error != "" {
		if value != variants["on"] {
			return "a rule that fails came to " + value
		}
		return ""
	}
	if value != want.Value || got.Variant != want.Variant || got.Reason != want.Reason {
		return fmt.Sprintf("%s %s %s, flagd's %s %s %s", value, got.Variant, got.Reason, want.Value, want.Variant, want.Reason)
	}
	return ""
}

func str(s string) json.RawMessage { b, _ := json.Marshal(s); return b }

// consult hands all questions to flagd's evaluator at once.
func consult(t *testing.T, all []question) [][2]opinion {
	t.Helper()
	flags := map[string]any{}
	for _, q := range all {
		flags[q.Key] = map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "on", "targeting": q.rule}
	}
	return consultOn(t, map[string]any{"flags": flags}, all)
}

// consultOn asks flagd's evaluator about the flags of a file.
func consultOn(t *testing.T, file any, all []question) [][2]opinion {
	t.Helper()
	in, err := json.Marshal(map[string]any{"flags": file, "cases": all})
	if err != nil {
		t.Fatal(err)
	}
	cmd := node(t, "oracle.mjs")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	var opinions [][2]opinion
	if err := json.Unmarshal(out.Bytes(), &opinions); err != nil || len(opinions) != len(all) {
		t.Fatalf("%d opinions, %v", len(opinions), err)
	}
	return opinions
}

// maker makes random rules and contexts, of what is likely to meet.
type maker struct{ *rand.Rand }

func (m *maker) pick(of ...any) any { return of[m.IntN(len(of))] }

func op(name string, args ...any) any { return map[string]any{name: args} }

func (m *maker) rule() any {
	switch m.IntN(6) {
	case 0:
		return m.fractional()
	case 1:
		return op("if", m.truth(3), m.result(), m.truth(2), m.result(), m.result())
	case 2:
		return op("if", m.truth(3), m.fractional(), m.result())
	case 3:
		return op("if", m.truth(2), op("if", m.truth(2), m.result(), m.result()))
	}
	return op("if", m.truth(4), m.result(), m.result())
}

func (m *maker) result() any {
	return m.pick("on", "off", "a", "b", 1, true, nil, "a", "b", m.version())
}

func (m *maker) version() any {
	return m.pick("1.2.3", "v2.0.0", "1.2", "2", "1.2.3-beta.1", "1.2.3-beta.11", "1.2.3+build", "x", "1.2.3.4", "01.2.3", "10.0.0", "V1.0.0-rc.1")
}

func (m *maker) fractional() any {
	var args []any
	switch m.IntN(3) {
	case 0:
		args = append(args, op("cat", map[string]any{"var": "$flagd.flagKey"}, map[string]any{"var": "email"}))
	case 1:
		args = append(args, map[string]any{"var": m.pick("email", "user.name")})
	}
	for range 1 + m.IntN(4) {
		share := []any{m.pick("on", "off", "a", "b", "1")}
		if m.IntN(4) > 0 {
			share = append(share, m.IntN(100))
		}
		args = append(args, share)
	}
	return map[string]any{"fractional": args}
}

func (m *maker) truth(depth int) any {
	if depth <= 0 {
		return map[string]any{"var": m.pick("beta", "tags", "email", "missing", "user")}
	}
	switch m.IntN(14) {
	case 0:
		return op("and", m.truth(depth-1), m.truth(depth-1))
	case 1:
		return op("or", m.truth(depth-1), m.truth(depth-1))
	case 2:
		return op("!", m.truth(depth-1))
	case 3:
		return op("!!", m.truth(depth-1))
	case 4:
		return op(m.pick("==", "!=", "===", "!==").(string), m.text(depth-1), m.text(depth-1))
	case 5:
		return op(m.pick("<", "<=", ">", ">=", "==", "!=", "===").(string), m.number(depth-1), m.number(depth-1))
	case 6:
		return op("in", m.text(0), m.pick([]any{"DE", "AT", "u1@example.com"}, map[string]any{"var": "tags"}, "DE,AT,CH"))
	case 7:
		return op(m.pick("starts_with", "ends_with").(string), m.text(depth-1), m.pick("@example.com", "u", "D", "", 1))
	case 8:
		return op("sem_ver", m.pick(map[string]any{"var": "version"}, map[string]any{"var": "missing"}, "1.2.3-beta.1", "V1.2"), m.pick("=", "!=", "<", "<=", ">", ">=", "^", "~"), m.pick("1.2.3", "1.0", "2.0.0", "1.2.3-beta.2"))
	case 9:
		return op(m.pick("some", "all", "none").(string), map[string]any{"var": m.pick("tags", "missing")}, op(m.pick("==", "in").(string), map[string]any{"var": ""}, m.pick("new", "old", "newest")))
	case 10:
		return op("missing", m.pick("email", "country", "nothing"), m.pick("age", "user.plan", "user.nothing"))
	case 11:
		return op("missing_some", m.IntN(3), []any{"email", "nothing", m.pick("age", "user.plan")})
	case 12:
		return op("<", m.IntN(10), m.number(0), m.IntN(100))
	}
	return op("==", map[string]any{"var": m.pick("country", "user.plan", "beta")}, m.pick("DE", "pro", true, nil))
}

func (m *maker) text(depth int) any {
	if depth > 0 {
		switch m.IntN(5) {
		case 0:
			return op("cat", map[string]any{"var": []any{"email", "nobody"}}, m.pick("-", "", 1, 2.5))
		case 1:
			return op("substr", map[string]any{"var": []any{"email", "nobody"}}, m.IntN(9)-4, m.IntN(9)-4)
		case 2:
			return op("if", m.truth(depth-1), m.text(0), m.text(0))
		}
	}
	return m.pick(map[string]any{"var": "email"}, map[string]any{"var": "country"}, map[string]any{"var": []any{"user.plan", "free"}}, map[string]any{"var": "tags.0"}, "DE", "pro", "")
}

func (m *maker) number(depth int) any {
	if depth > 0 {
		switch m.IntN(6) {
		case 0:
			return op(m.pick("+", "-", "*", "/", "%").(string), m.number(depth-1), m.number(depth-1))
		case 1:
			return op(m.pick("min", "max").(string), m.number(depth-1), m.number(depth-1))
		case 2:
			return op("reduce", map[string]any{"var": "numbers"}, op("+", map[string]any{"var": "accumulator"}, map[string]any{"var": "current"}), 0)
		}
	}
	return m.pick(map[string]any{"var": "age"}, map[string]any{"var": []any{"count", 3}}, map[string]any{"var": "numbers.1"}, m.IntN(20), 2.5, -1, 18)
}

func (m *maker) context() map[string]any {
	c := map[string]any{}
	may := func(key string, of ...any) {
		if m.IntN(8) > 0 {
			c[key] = m.pick(of...)
		}
	}
	may("targetingKey", "u1", "u2", "somebody-else", "0f0e0d", "x")
	may("email", "u1@example.com", "u2@example.org", "")
	may("country", "DE", "AT", "US")
	may("beta", true, false)
	may("age", 17, 18, 42, 18.5, "17", 0)
	may("count", 0, 1, 10)
	may("version", m.version(), m.version(), "v1.10.0", "2.0.0-rc.1", "nonsense", 2)
	may("tags", []any{"new", "old"}, []any{}, []any{"newest"})
	may("numbers", []any{1, 2, 3}, []any{4, 5}, []any{0.5, 10})
	may("user", map[string]any{"name": "Ada", "plan": "pro"}, map[string]any{"name": "Bob"})
	return c
}

// written are the documented operators, one by one.
func written(t *testing.T) []question {
	t.Helper()
	var out []question
	for _, c := range [][2]string{
		{`{"if":[{"==":[{"var":"a"},"x"]},"a","b"]}`, `{"a":"x"}`},
		{`{"if":[{"==":[{"var":"a"},1]},"a","b"]}`, `{"a":"1"}`},
		{`{"if":[{"===":[{"var":"a"},1]},"a","b"]}`, `{"a":"1"}`},
		{`{"if":[{"!==":[{"var":"a"},1]},"a","b"]}`, `{"a":1}`},
		{`{"if":[{"==":[{"var":"a"},null]},"a","b"]}`, `{}`},
		{`{"if":[{"<":[{"var":"a"},18]},"a","b"]}`, `{}`},
		{`{"if":[{"<":[1,{"var":"a"},3]},"a","b"]}`, `{"a":2}`},
		{`{"if":[{"<=":[1,{"var":"a"},3]},"a","b"]}`, `{"a":4}`},
		{`{"if":[{">":["b","a"]},"a","b"]}`, `{}`},
		{`{"if":[{"<":[{"var":"a"},3]},"a","b"]}`, `{"a":"many"}`},
		{`{"if":[{"<":[{"var":"a"},3]},"a","b"]}`, `{"a":[1]}`},
		{`{"if":[{"var":"a.b.0"},"a","b"]}`, `{"a":{"b":[1]}}`},
		{`{"if":[{"var":["a.b.1","x"]},"a","b"]}`, `{"a":{"b":[1]}}`},
		{`{"if":[{"var":"a\\.b"},"a","b"]}`, `{"a.b":1}`},
		{`{"if":[{"==":[{"var":"$flagd.flagKey"},"nobody"]},"a","b"]}`, `{}`},
		{`{"if":[{">":[{"var":"$flagd.timestamp"},1000]},"a","b"]}`, `{}`},
		{`{"if":[{"!":[[]]},"a","b"]}`, `{}`},
		{`{"if":[{"!!":["0"]},"a","b"]}`, `{}`},
		{`{"if":[{"var":"o"},"a","b"]}`, `{"o":{}}`},
		{`{"or":[{"var":"a"},"b"]}`, `{"a":""}`},
		{`{"and":[{"var":"a"},"b"]}`, `{"a":1}`},
		{`{"cat":["a",""]}`, `{}`},
		{`{"if":[{"==":[{"cat":[1.5,true,"x"]},"1.5truex"]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"cat":[1e21,"-",1e-7]},"1e+21-1e-7"]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"substr":["jsonlogic",4]},"logic"]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"substr":["jsonlogic",-5,-2]},"log"]},"a","b"]}`, `{}`},
		{`{"if":[{"in":["a",{"merge":[["b"],["a"]]}]},"a","b"]}`, `{}`},
		{`{"if":[{"in":["Spring","Springfield"]},"a","b"]}`, `{}`},
		{`{"if":[{"in":["x",{"var":"nothing"}]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"%":[7,3]},1]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"%":[-7,3]},-1]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"/":[1,{"var":"n"}]},1]},"a","b"]}`, `{"n":0}`},
		{`{"if":[{"==":[{"+":["3",1]},4]},"a","b"]}`, `{}`},
		{`{"if":[{"==":[{"-":[{"var":"n"}]},-5]},"a","b"]}`, `{"n":5}`},
		{`{"if":[{"==":[{"max":[1,{"var":"n"},3]},5]},"a","b"]}`, `{"n":5}`},
		{`{"if":[{"==":[{"reduce":[{"filter":[{"var":"n"},{">":[{"var":""},1]}]},{"+":[{"var":"accumulator"},{"var":"current"}]},0]},5]},"a","b"]}`, `{"n":[1,2,3]}`},
		{`{"if":[{"in":[4,{"map":[{"var":"n"},{"*":[{"var":""},2]}]}]},"a","b"]}`, `{"n":[1,2,3]}`},
		{`{"if":[{"all":[{"var":"n"},{">":[{"var":"p"},0]}]},"a","b"]}`, `{"n":[{"p":1},{"p":2}]}`},
		{`{"if":[{"all":[[],true]},"a","b"]}`, `{}`},
		{`{"if":[{"none":[{"var":"n"},{">":[{"var":""},2]}]},"a","b"]}`, `{"n":[1,2,3]}`},
		{`{"if":[{"missing":["a","b"]},"a","b"]}`, `{"a":1,"b":null}`},
		{`{"if":[{"missing_some":[1,["a","b"]]},"a","b"]}`, `{"b":1}`},
		{`{"starts_with":[{"var":"ip"},"192.168"]}`, `{"ip":"192.168.0.1"}`},
		{`{"if":[{"ends_with":[{"var":"email"},"@x.com"]},"a","b"]}`, `{"email":5}`},
		{`{"if":[{"sem_ver":["v1.2.3-alpha.2",">","1.2.3-alpha.10"]},"a","b"]}`, `{}`},
		{`{"if":[{"sem_ver":["1.2.3","^","1.9"]},"a","b"]}`, `{}`},
		{`{"if":[{"sem_ver":["1.2.3","~","1.2.9"]},"a","b"]}`, `{}`},
		{`{"fractional":[["a",0],["b",0]]}`, `{"targetingKey":"u"}`},
		{`{"fractional":[["a",1000000000],["b",1000000000]]}`, `{"targetingKey":"u"}`},
		{`{"fractional":[{"var":"email"},["a",25],["b",25],["on",25],["off",25]]}`, `{"email":"ada@example.com"}`},
		{`{"fractional":[["a",{"var":"w"}],["b",{"-":[100,{"var":"w"}]}]]}`, `{"targetingKey":"u","w":30}`},
		{`{"fractional":[["a",{"var":"w"}],["b",1]]}`, `{"targetingKey":"u","w":1.5}`},
		{`{"fractional":[[{"if":[{"var":"beta"},"a","b"]},1]]}`, `{"targetingKey":"u","beta":true}`},
		{`{"if":[true,"no such variant"]}`, `{}`},
	} {
		q := question{Context: map[string]any{}}
		if json.Unmarshal([]byte(c[0]), &q.rule) != nil || json.Unmarshal([]byte(c[1]), &q.Context) != nil {
			t.Fatal(c)
		}
		out = append(out, q)
	}
	return out
}
