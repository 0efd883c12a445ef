package feature

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

// ruled is a flag of text whose variants are called as their values.
func ruled(rule string) Flag {
	return Flag{Key: "k", Value: raw(`"on"`), Off: raw(`"off"`), Variants: map[string]json.RawMessage{"a": raw(`"a"`), "b": raw(`"b"`)}, Targeting: raw(rule)}
}

func follow(t testing.TB, f Flag, context string) Answer {
	t.Helper()
	p, err := Prepare(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadContext([]byte(context), time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return p.Evaluate(c)
}

// test/ofrep holds every operator against flagd's own evaluator; here is what each is
// for.
func TestOperators(t *testing.T) {
	t.Parallel()
	const who = `{"targetingKey":"u1","email":"ada@example.com","country":"DE","age":42,"version":"1.10.2","beta":true,"tags":["new","old"],"user":{"plan":"pro"},"prices":[1,2,3],"zero":0}`
	for rule, want := range map[string]string{
		`{"if":[{"var":"beta"},"a","b"]}`:                                                                         "a",
		`{"if":[{"var":"nothing"},"a"]}`:                                                                          "on",
		`{"if":[false,"a",{"==":[{"var":"user.plan"},"pro"]},"b","off"]}`:                                         "b",
		`{"if":[{"===":[{"var":"age"},"42"]},"a","b"]}`:                                                           "b",
		`{"if":[{"and":[{">=":[{"var":"age"},18]},{"!":[{"var":"zero"}]}]},"a","b"]}`:                             "a",
		`{"if":[{"in":[{"var":"country"},["DE","AT"]]},"a","b"]}`:                                                 "a",
		`{"if":[{"<":[18,{"var":"age"},65]},"a","b"]}`:                                                            "a",
		`{"if":[{"ends_with":[{"var":"email"},"@example.com"]},"a","b"]}`:                                         "a",
		`{"if":[{"starts_with":[{"var":"email"},"bob"]},"a","b"]}`:                                                "b",
		`{"if":[{"sem_ver":[{"var":"version"},">=","1.9.0"]},"a","b"]}`:                                           "a",
		`{"if":[{"some":[{"var":"tags"},{"==":[{"var":""},"old"]}]},"a","b"]}`:                                    "a",
		`{"if":[{"==":[{"reduce":[{"var":"prices"},{"+":[{"var":"accumulator"},{"var":"current"}]},0]},6]},"a"]}`: "a",
		`{"if":[{"missing":["email","phone"]},"a","b"]}`:                                                          "a",
		`{"if":[{"<":[{"var":"$flagd.timestamp"},1700000001]},"a","b"]}`:                                          "a",
		`{"if":[{"==":[{"var":"$flagd.flagKey"},"k"]},"a","b"]}`:                                                  "a",
		`{"fractional":[["a",0],["b",1]]}`:                                                                        "b",
		`{"cat":["a",""]}`:                                                                                        "a",
	} {
		got := follow(t, ruled(rule), who)
		if string(got.Value) != strconv.Quote(want) || got.Problem != "" || got.NoKey {
			t.Errorf("%s comes to %+v, want %s", rule, got, want)
		}
	}
}

// A rule that can't be followed leaves the flag at its calm value, and says so.
func TestRuleThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	for rule, problem := range map[string]string{
		`{"if":[{"<":[{"var":"a"},1]},"a","b"]}`:        "what is compared is not a number",
		`{"if":[{"+":[{"var":"a"},1]},"a","b"]}`:        "what is counted with is not a number",
		`{"if":[{"/":[1,{"var":"z"}]},"a","b"]}`:        "what is counted with is not a number",
		`{"if":[{"substr":[{"var":"z"},1]},"a","b"]}`:   "substr needs a text",
		`{"if":[{"in":["x",{"var":"n"}]},"a","b"]}`:     "in looks into a list or a text",
		`{"if":[{"map":[{"var":"n"},1]},"a","b"]}`:      "what is gone over is not a list",
		`{"if":[{"max":["x"]},"a","b"]}`:                "what is compared is not a number",
		`{"cat":["no such ",{"var":"a"}]}`:              "the rule names a variant that is not there",
		`{"if":[{"missing_some":[1,{"var":"a"}]},"a"]}`: "missing_some needs a list of names",
	} {
		got := follow(t, ruled(rule), `{"a":"text","z":0,"n":5}`)
		if got.Problem != problem || string(got.Value) != `"on"` || got.Variant != On || got.Reason != Default {
			t.Errorf("%s comes to %+v, want problem %q", rule, got, problem)
		}
	}
}

func TestNoKey(t *testing.T) {
	t.Parallel()
	f := ruled(`{"if":[{"var":"beta"},{"fractional":[["a",1],["b",1]]},"off"]}`)
	for context, want := range map[string]bool{`{"beta":true}`: true, `{"beta":true,"targetingKey":""}`: true, `{"beta":true,"targetingKey":"u"}`: false, `{}`: false} {
		if got := follow(t, f, context); got.NoKey != want || want && string(got.Value) != `"on"` {
			t.Errorf("%s: %+v", context, got)
		}
	}
}

// True and false are variants of a boolean flag, and are told as on and off.
func TestRuleOfABoolean(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "k", Value: raw("false"), Off: raw("true"), Targeting: raw(`{"==":[{"var":"a"},1]}`)}
	for context, want := range map[string]string{`{"a":1}`: "true off", `{"a":2}`: "false on"} {
		if got := follow(t, f, context); string(got.Value)+" "+got.Variant != want || got.Reason != Matched {
			t.Errorf("%s: %+v, want %s", context, got, want)
		}
	}
}

// Whatever a rule does, it ends: alone by its own steps, with others by theirs.
func TestRulesAreBounded(t *testing.T) {
	t.Parallel()
	var list strings.Builder
	for i := range 5000 {
		list.WriteString("," + strconv.Itoa(i))
	}
	context := `{"n":[0` + list.String() + `]}`
	for _, rule := range []string{
		`{"map":[{"var":"n"},{"map":[{"var":""},1]}]}`,
		`{"reduce":[{"var":"n"},{"cat":[{"var":"accumulator"},{"var":"accumulator"},"x"]},""]}`,
		`{"reduce":[{"var":"n"},{"merge":[{"var":"accumulator"},{"var":"accumulator"},1]},[]]}`,
		`{"if":[{"all":[{"var":"n"},{"in":[{"var":""},[1,2,3]]}]},"a",{"some":[{"var":"n"},{"==":[{"cat":[{"var":""},"x"]},"-"]}]},"b"]}`,
	} {
		began := time.Now()
		got := follow(t, ruled(rule), context)
		if got.Problem == "" || string(got.Value) != `"on"` {
			t.Errorf("%s: %+v", rule, got)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %v", rule, took)
		}
	}
	p, err := Prepare(ruled(`{"if":[{"none":[{"var":"n"},{"==":[{"var":""},-1]}]},"a","b"]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadContext([]byte(`{"n":[`+strings.Repeat("1,", 1000)+`1]}`), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	well := 0
	for range 1000 {
		if p.Evaluate(c).Problem == "" {
			well++
		}
	}
	if well < 10 || well > 500 {
		t.Errorf("%d of 1000 costly rules were followed for one context", well)
	}
	if c.left < -stepsPerFlag {
		t.Errorf("%d steps are left", c.left)
	}
}

func TestCheckRule(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"!":[`, 60) + "1" + strings.Repeat("]}", 60)
	wide := `{"cat":[` + strings.Repeat("1,", maxNodes) + "1]}"
	for rule, want := range map[string]string{
		`{"if":[{"var":"x"},"a","b"]}`:                     "",
		`{"if":[{"var":"x"},null,"off"]}`:                  "",
		`{"if":[{"var":"x"},"c","b"]}`:                     `if.1: the rule names the variant "c", which is not there`,
		`{"if":[{"var":"x"},"a",{"if":[1,"b","d"]}]}`:      `if.2.if.2: the rule names the variant "d", which is not there`,
		`{"fractional":[["a",50],["c",50]]}`:               `fractional.1.0: the rule names the variant "c", which is not there`,
		`{"fractional":[["a",-1]]}`:                        "fractional.0: the weight of a share is not a whole number",
		`{"fractional":[["a",2147483647],["b",1]]}`:        "fractional: the weights add up to more than 2147483647",
		`{"fractional":["email",["a",1],5]}`:               "fractional.2: a share of fractional is a list of a variant and its weight",
		`{"if":[{"sem_ver":[1,"==",2]},"a"]}`:              "if.0.sem_ver.1: sem_ver does not know how to compare by this",
		`{"if":[{"sem_ver":["one","=","2"]},"a"]}`:         "if.0.sem_ver.0: this is not a version",
		`{"if":[{"var":"../x"},"a"]}`:                      "if.0.var: var can't look out of a list here",
		`{"if":[{"==":[1]},"a"]}`:                          `if.0.==: "==" has 1 arguments, and takes 2`,
		`{"if":[{"<":[1,2,3,4]},"a"]}`:                     `if.0.<: "<" has 4 arguments, and takes 2 to 3`,
		`{"if":[]}`:                                        `if: "if" has 0 arguments, and takes at least 1`,
		`{"log":["x"]}`:                                    `log: there is no operator "log"`,
		`{"if":[{"$ref":"x"},"a"]}`:                        `if.0.$ref: there is no operator "$ref"`,
		`{"a":1,"b":2}`:                                    `a: operators "a" and "b" stand side by side`,
		`["a"]`:                                            ": a rule is an object with one operator",
		`{`:                                                ": the rule is not JSON",
		`{"if":[` + deep + `,"a"]}`:                        "…the rule is too large",
		wide:                                               "…the rule is too large",
		`{"cat":["` + strings.Repeat("x", MaxRule) + `"]}`: "…bytes, 65536 fit",
	} {
		path, err := ruled(rule).CheckRule()
		got := ""
		if err != nil {
			got = strings.Join(path, ".") + ": " + err.Text
			if err.Hint == "" || err.Kind != fault.Invalid {
				t.Errorf("%.80s: %+v", rule, err)
			}
		}
		if end, cut := strings.CutPrefix(want, "…"); cut && !strings.HasSuffix(got, end) || !cut && got != want {
			t.Errorf("%.80s: %q, want %q", rule, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	shared := map[string]json.RawMessage{
		"staff": raw(`{"ends_with":[{"var":"email"},"@x"]}`), "both": raw(`{"and":[{"$ref":"staff"},{"$ref":"staff"}]}`),
		"one": raw(`{"!":{"$ref":"two"}}`), "two": raw(`{"!":{"$ref":"one"}}`), "self": raw(`{"$ref":"self"}`),
		"b0": raw(`1`),
	}
	for i := range 30 {
		last := strconv.Quote("b" + strconv.Itoa(i))
		shared["b"+strconv.Itoa(i+1)] = raw(`{"and":[{"$ref":` + last + `},{"$ref":` + last + `}]}`) // doubles each time
	}
	for rule, want := range map[string]string{
		`{"if":[{"$ref":"both"},"a"]}`: `{"if":[{"and":[{"ends_with":[{"var":"email"},"@x"]},{"ends_with":[{"var":"email"},"@x"]}]},"a"]}`,
		`{"if":[{"$ref":"one"},"a"]}`:  "if.0.$ref: $ref goes in a circle: one, two, one",
		`{"if":[1,{"$ref":"self"}]}`:   "if.1.$ref: $ref goes in a circle: self, self",
		`{"if":[{"$ref":"gone"},"a"]}`: `if.0.$ref: $ref names "gone", which is not there`,
		`{"if":[{"$ref":5},"a"]}`:      `if.0.$ref: $ref names "", which is not there`,
		`{"if":[{"$ref":"b30"},"a"]}`:  "if.0.$ref: the rule is too large",
	} {
		out, path, err := Expand(raw(rule), shared)
		got := string(out)
		if err != nil {
			got = strings.Join(path, ".") + ": " + err.Text
		}
		if got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	order := strings.Fields("1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.2 2 10.0.0") // semver.org, 11
	for i, a := range order {
		for j, b := range order {
			x, xOK := readVersion(a)
			y, yOK := readVersion(b)
			if !xOK || !yOK {
				t.Fatal(a, b)
			}
			if c := x.compare(y); (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%s against %s: %d", a, b, c)
			}
		}
	}
	for _, bad := range []string{"", "v", "1.2.3.4", "01.2.3", "1.02.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2-rc", "x", "1.2.x", "99999999999999999999.0.0", "1.2.3-" + strings.Repeat("a", 300)} {
		if _, ok := readVersion(bad); ok {
			t.Errorf("%q is taken for a version", bad)
		}
	}
}

// The shares of a fractional are as wide as their weights, and the hash is the one
// that everybody has.
func TestFractional(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{"": 0, "test": 0xba6bd213, "Hello, world!": 0xc0363e43, "The quick brown fox jumps over the lazy dog": 0x2e4ff723, "aaa": 0xb4d05fb7} {
		if got := murmur3(text); got != want {
			t.Errorf("murmur3(%q) = %08x, want %08x", text, got, want)
		}
	}
	p, err := Prepare(ruled(`{"fractional":[["a",25],["b",70],["off",5]]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range 20_000 {
		c, err := ReadContext([]byte(`{"targetingKey":"user-`+strconv.Itoa(i)+`"}`), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		count[p.Evaluate(c).Variant]++
	}
	for name, want := range map[string]int{"a": 5000, "b": 14000, "off": 1000} {
		if n := count[name]; n < want-300 || n > want+300 {
			t.Errorf("%d of %s, want about %d", n, name, want)
		}
	}
}

func FuzzRule(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"if":[{"==":[{"var":"a.b"},1]},"a","b"]}`, `{"a":{"b":1}}`}, {`{"fractional":[{"var":"e"},["a",1],["b",{"var":"n"}]]}`, `{"e":"x","n":2}`},
		{`{"cat":[{"substr":[{"var":"e"},-2,1]},"b"]}`, `{"e":"äöü😀"}`}, {`{"+":{"var":"l"}}`, `{"l":[1,"2",null]}`}, {`{"reduce":[{"var":"l"},{"merge":[{"var":"accumulator"},[{"var":"current"}]]},[]]}`, `{"l":[1,2]}`},
		{`{"sem_ver":[{"var":"v"},"~",{"var":"w"}]}`, `{"v":"1.2.3-a.b+c","w":1.2}`}, {`{"missing_some":[{"var":"n"},["a.b","c"]]}`, `{"n":"1"}`}, {`{"in":[{"var":"x"},{"map":[{"var":"l"},{"-":[{"var":""}]}]}]}`, `{"l":[1],"x":-1}`},
		{`{"var":["$flagd",{"max":{"var":"l"}}]}`, `{"l":[]}`}, {`{"!":{"var":""}}`, `{}`}, {`{"==":[{"var":""},{"var":""}]}`, `null`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, rule, context string) {
		flag := ruled(rule)
		_, told := flag.CheckRule()
		p, err := Prepare(flag, nil)
		if told == nil && err != nil {
			t.Fatalf("a good rule is refused: %v", err)
		}
		if err != nil || p.rule == nil {
			return
		}
		c, err := ReadContext([]byte(context), time.Unix(1_700_000_000, 0))
		if err != nil {
			return
		}
		a := p.Evaluate(c)
		if _, known := p.named[a.Variant]; !known || len(a.Value) == 0 {
			t.Fatalf("%s comes to %+v", rule, a)
		}
		if again := p.Evaluate(c); a.Problem == "" && again.Problem == "" && again.Variant != a.Variant {
			t.Fatalf("%s comes to %s, then to %s", rule, a.Variant, again.Variant)
		}
	})
}

// A feature that is off in calm, and on for some by a rule, is answered, and can be
// closed to those.
func TestOffInCalm(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "beta", Value: raw("false"), Off: raw("false"), Targeting: raw(`{"if":[{"var":"staff"},"true"]}`)}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	if a := follow(t, f, `{"staff":true}`); string(a.Value) != "true" || a.Reason != Matched {
		t.Errorf("for staff %+v", a)
	}
	if a := follow(t, f, `{}`); string(a.Value) != "false" || a.Reason != Default {
		t.Errorf("for others %+v", a)
	}
	f.Targeting = nil
	if f.Validate() == nil {
		t.Error("a flag that no lever can change is taken without a word")
	}
	if a := follow(t, f, `{}`); string(a.Value) != "false" { // and is answered all the same
		t.Errorf("without a rule %+v", a)
	}
}
