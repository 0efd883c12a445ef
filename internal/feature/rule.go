package feature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
)

// The limits of a rule. What a person writes by hand stays far below.
const (
	MaxRule  = 64 << 10 // bytes, with what its $ref stand for
	maxNodes = 5_000
	maxDepth = 40
)

// expr is a part of a rule: a literal, a list, or an operator with its arguments.
type expr struct {
	literal any // when op is nil and list is nil
	list    []expr
	isList  bool
	op      *operator
	args    []expr
	spread  bool     // the only argument is not a list: what it gives may be the list of arguments
	path    []string // of an operator that reads a path that is written down
}

// rule is a targeting rule that was checked.
type rule struct {
	root  expr
	timed bool // it reads the time
}

// trouble is what is wrong with a rule, and where: the keys and indexes that lead
// to it.
type trouble struct {
	path []string
	text string
	hint string
}

func (t *trouble) Error() string { return t.text }

// readRule reads a rule; the error's place begins with place.
func readRule(raw json.RawMessage, place string) (*rule, error) {
	r, t := parseRule(raw)
	if t != nil {
		return nil, fault.New(fault.Invalid, "%s", t.text).At(strings.Join(append([]string{place}, t.path...), ".")).WithHint("%s", t.hint)
	}
	return r, nil
}

// CheckRule says what is wrong with a flag's rule, nil when nothing is: at the end
// of path, from the rule's root, is what should be changed. Other than Validate it
// looks at the variants that the rule names, too.
func (f Flag) CheckRule() (path []string, err *fault.Error) {
	r, t := parseRule(f.Targeting)
	if t == nil {
		t = r.root.names(f.named(), nil)
	}
	if t == nil {
		return nil, nil
	}
	return t.path, fault.New(fault.Invalid, "%s", t.text).WithHint("%s", t.hint)
}

// CheckPart says what is wrong with a part that rules share, as CheckRule does. It
// may be a rule, a list or a value.
func CheckPart(raw json.RawMessage) (path []string, err *fault.Error) {
	var v any
	if len(raw) > MaxRule || json.Unmarshal(raw, &v) != nil {
		return nil, fault.New(fault.Invalid, "this is too long, or not JSON").WithHint("write less")
	}
	if _, t := (&compiler{}).expr(v, nil); t != nil {
		return t.path, fault.New(fault.Invalid, "%s", t.text).WithHint("%s", t.hint)
	}
	return nil, nil
}

func parseRule(raw json.RawMessage) (*rule, *trouble) {
	if len(raw) > MaxRule {
		return nil, &trouble{text: fmt.Sprintf("the rule has %d bytes, %d fit", len(raw), MaxRule), hint: "decide in the program that asks, and give it the answer's name"}
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil, &trouble{text: "the rule is not JSON", hint: `for example {"if": [{"==": [{"var": "country"}, "DE"]}, "on", "off"]}`}
	}
	if _, is := v.(map[string]any); !is {
		return nil, &trouble{text: "a rule is an object with one operator", hint: `for example {"if": [{"==": [{"var": "country"}, "DE"]}, "on", "off"]}`}
	}
	c := compiler{}
	root, t := c.expr(v, nil)
	if t != nil {
		return nil, t
	}
	return &rule{root, c.timed}, nil
}

// compiler reads one rule.
type compiler struct {
	nodes int
	timed bool
}

func (c *compiler) expr(v any, path []string) (expr, *trouble) {
	c.nodes++
	if c.nodes > maxNodes || len(path) > 2*maxDepth {
		return expr{}, &trouble{path, "the rule is too large", fmt.Sprintf("%d parts and %d levels fit", maxNodes, maxDepth)}
	}
	switch x := v.(type) {
	case []any:
		list, t := c.each(x, path)
		return expr{list: list, isList: true}, t
	case map[string]any:
		return c.call(x, path)
	}
	return expr{literal: v}, nil
}

func (c *compiler) each(list []any, path []string) ([]expr, *trouble) {
	out := make([]expr, 0, len(list))
	for i, v := range list {
		e, t := c.expr(v, below(path, strconv.Itoa(i)))
		if t != nil {
			return nil, t
		}
		out = append(out, e)
	}
	return out, nil
}

func below(path []string, key string) []string { return append(slices.Clip(path), key) }

// call reads {"operator": arguments}.
func (c *compiler) call(m map[string]any, path []string) (expr, *trouble) {
	if len(m) == 0 {
		return expr{literal: m}, nil
	}
	if len(m) > 1 {
		names := slices.Sorted(maps.Keys(m))
		return expr{}, &trouble{below(path, names[0]), "operators " + strings.Join(quoted(names), " and ") + " stand side by side", `put them into a list of one that joins them: {"and": [{…}, {…}]}`}
	}
	var name string
	var arg any
	for name, arg = range m {
	}
	at := below(path, name)
	op, known := operators[name]
	if !known {
		return expr{}, &trouble{at, "there is no operator " + strconv.Quote(printable(name)), unknownHint(name)}
	}
	e := expr{op: op}
	var t *trouble
	if list, is := arg.([]any); is {
		e.args, t = c.each(list, at)
	} else {
		var one expr
		one, t = c.expr(arg, at)
		e.args, e.spread = []expr{one}, one.op != nil
	}
	if t != nil {
		return e, t
	}
	if t := e.count(name, at); t != nil {
		return e, t
	}
	if op.check != nil {
		if text, hint, i := op.check(e.args); text != "" {
			if _, is := arg.([]any); is && i >= 0 {
				at = below(at, strconv.Itoa(i))
			}
			return e, &trouble{at, text, hint}
		}
	}
	c.variable(name, &e)
	return e, nil
}

// count checks how many arguments an operator has.
func (e *expr) count(name string, at []string) *trouble {
	n := len(e.args)
	if e.spread && !e.op.lazy {
		return nil // it may give several
	}
	if n >= e.op.least && n <= e.op.most {
		return nil
	}
	want := fmt.Sprintf("%d to %d", e.op.least, e.op.most)
	switch {
	case e.op.least == e.op.most:
		want = strconv.Itoa(e.op.least)
	case e.op.most == many:
		want = "at least " + strconv.Itoa(e.op.least)
	}
	return &trouble{at, fmt.Sprintf("%q has %d arguments, and takes %s", name, n, want), "for example " + e.op.sample}
}

// variable prepares the path of a var that is written down, and notes one that may
// read the time.
func (c *compiler) variable(name string, e *expr) {
	if name != "var" {
		return
	}
	switch key := e.args[0]; {
	case key.op != nil || key.isList:
		c.timed = true // it may
	default:
		e.path = splitPath(text(key.literal))
		c.timed = c.timed || len(e.path) > 0 && e.path[0] == "$flagd" && (len(e.path) == 1 || e.path[1] != "flagKey")
	}
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(printable(n))
	}
	return out
}

func unknownHint(name string) string {
	if name == "$ref" {
		return "write the rule that it stands for under evaluators, and its name here"
	}
	return "operators are " + strings.Join(slices.Sorted(maps.Keys(operators)), " ")
}

// names looks at the variants that a rule can come to where they are written down.
func (e *expr) names(known map[string]json.RawMessage, path []string) *trouble {
	switch {
	case e.isList:
		return &trouble{path, "a rule comes to the name of a variant, not to a list", "write one name"}
	case e.op == nil:
		return knownVariant(e.literal, known, path)
	case e.op == operators["if"] && !e.spread:
		return e.eachName(known, below(path, "if"), func(i int) bool { return i%2 == 1 || i == len(e.args)-1 })
	case e.op == operators["or"] || e.op == operators["and"]:
		return nil
	case e.op == operators["fractional"] && !e.spread:
		at := below(path, "fractional")
		for i, a := range e.args {
			if !a.isList || len(a.list) == 0 {
				continue
			}
			if t := a.list[0].names(known, below(below(at, strconv.Itoa(i)), "0")); t != nil {
				return t
			}
		}
	}
	return nil
}

func (e *expr) eachName(known map[string]json.RawMessage, at []string, result func(i int) bool) *trouble {
	for i := range e.args {
		if !result(i) {
			continue
		}
		if t := e.args[i].names(known, below(at, strconv.Itoa(i))); t != nil {
			return t
		}
	}
	return nil
}

func knownVariant(v any, known map[string]json.RawMessage, path []string) *trouble {
	if v == nil {
		return nil
	}
	name := text(v)
	if _, is := known[name]; is {
		return nil
	}
	return &trouble{path, "the rule names the variant " + strconv.Quote(printable(name)) + ", which is not there", "variants are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")}
}

// Expand puts in what each {"$ref": "name"} of a rule stands for. A rule may use
// others; a circle is refused. path leads from the rule's root to what is wrong.
func Expand(raw json.RawMessage, evaluators map[string]json.RawMessage) (out json.RawMessage, path []string, err *fault.Error) {
	if !bytes.Contains(raw, []byte(`$ref`)) {
		return raw, nil, nil
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return raw, nil, nil // told by CheckRule
	}
	x := expander{evaluators: evaluators, left: maxNodes}
	v, t := x.walk(v, nil, nil)
	if t != nil {
		return nil, t.path, fault.New(fault.Invalid, "%s", t.text).WithHint("%s", t.hint)
	}
	b, jerr := json.Marshal(v)
	if jerr != nil { // what was read can be written
		return nil, nil, fault.New(fault.Internal, "write the rule").Because(jerr)
	}
	return b, nil, nil
}

type expander struct {
	evaluators map[string]json.RawMessage
	left       int
}

// walk goes through a rule; open are the names that are being put in, path is nil
// within them.
func (x *expander) walk(v any, path, open []string) (any, *trouble) {
	x.left--
	if x.left < 0 || len(open) > maxDepth {
		return nil, &trouble{path, "the rule is too large", fmt.Sprintf("%d parts fit, with what each $ref stands for", maxNodes)}
	}
	step := func(key string) []string {
		if len(open) > 0 {
			return path // the place of the outermost $ref
		}
		return below(path, key)
	}
	switch m := v.(type) {
	case []any:
		for i := range m {
			e, t := x.walk(m[i], step(strconv.Itoa(i)), open)
			if t != nil {
				return nil, t
			}
			m[i] = e
		}
	case map[string]any:
		if ref, is := m["$ref"]; is && len(m) == 1 {
			return x.ref(ref, step("$ref"), open)
		}
		for k := range m {
			e, t := x.walk(m[k], step(k), open)
			if t != nil {
				return nil, t
			}
			m[k] = e
		}
	}
	return v, nil
}

func (x *expander) ref(ref any, path, open []string) (any, *trouble) {
	name, _ := ref.(string)
	raw, known := x.evaluators[name]
	switch {
	case !known:
		return nil, &trouble{path, "$ref names " + strconv.Quote(printable(name)) + ", which is not there", "add it under evaluators; there is " + orNone(slices.Sorted(maps.Keys(x.evaluators)))}
	case slices.Contains(open, name):
		return nil, &trouble{path, "$ref goes in a circle: " + strings.Join(append(slices.Clip(open), name), ", "), "let one of them stand without the others"}
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil, &trouble{path, "the evaluator " + strconv.Quote(printable(name)) + " is not JSON", "write it anew"}
	}
	return x.walk(v, path, append(slices.Clip(open), name))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// many is "any number of arguments".
const many = math.MaxInt
