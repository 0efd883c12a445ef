package feature

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// operator is one of flagd's. A lazy one evaluates its own arguments.
type operator struct {
	least, most int
	lazy, unary bool // unary: its only argument is never taken apart
	sample      string
	run         func(x *run, e *expr, data any) any
	eager       func(x *run, args []any, data any) any
	check       func(args []expr) (text, hint string, i int) // "" when well; i is the argument, -1: all
}

// operators are filled in by init, because some refer to others.
var operators map[string]*operator

func init() {
	compare := func(name string) *operator {
		most := 3
		if strings.Contains(name, "=") && !strings.ContainsAny(name, "<>") {
			most = 2
		}
		return &operator{least: 2, most: most, lazy: true, sample: `{"` + name + `": [{"var": "age"}, 18]}`, run: comparison(name)}
	}
	arithmetic := func(name string, least int) *operator {
		return &operator{least: least, most: many, sample: `{"` + name + `": [{"var": "a"}, 2]}`, eager: func(x *run, args []any, _ any) any { return x.arithmetic(name, args) }}
	}
	over := func(name, sample string, run func(*run, *expr, any) any) *operator {
		return &operator{least: 2, most: 2, lazy: true, sample: `{"` + name + `": [{"var": "items"}, ` + sample + `]}`, run: run}
	}
	operators = map[string]*operator{
		"var":          {least: 1, most: 2, lazy: true, sample: `{"var": "email"}`, run: (*run).variable, check: checkVar},
		"missing":      {least: 1, most: many, sample: `{"missing": ["email"]}`, eager: (*run).missing},
		"missing_some": {least: 2, most: 2, sample: `{"missing_some": [1, ["email", "phone"]]}`, eager: (*run).missingSome},
		"if":           {least: 1, most: many, lazy: true, sample: `{"if": [{"var": "beta"}, "on", "off"]}`, run: (*run).choose},
		"and":          {least: 1, most: many, lazy: true, sample: `{"and": [{"var": "a"}, {"var": "b"}]}`, run: func(x *run, e *expr, data any) any { return x.until(e, data, false) }},
		"or":           {least: 1, most: many, lazy: true, sample: `{"or": [{"var": "a"}, {"var": "b"}]}`, run: func(x *run, e *expr, data any) any { return x.until(e, data, true) }},
		"!":            {least: 1, most: 1, unary: true, sample: `{"!": [{"var": "a"}]}`, eager: func(_ *run, args []any, _ any) any { return !truthy(args[0]) }},
		"!!":           {least: 1, most: 1, unary: true, sample: `{"!!": [{"var": "a"}]}`, eager: func(_ *run, args []any, _ any) any { return truthy(args[0]) }},
		"==":           compare("=="), "!=": compare("!="), "===": compare("==="), "!==": compare("!=="),
		"<": compare("<"), "<=": compare("<="), ">": compare(">"), ">=": compare(">="),
		"+": arithmetic("+", 1), "-": arithmetic("-", 1), "*": arithmetic("*", 1), "/": arithmetic("/", 2), "%": arithmetic("%", 2),
		"min":         {least: 1, most: many, sample: `{"min": [{"var": "a"}, 2]}`, eager: func(x *run, args []any, _ any) any { return x.extreme(args, math.Min) }},
		"max":         {least: 1, most: many, sample: `{"max": [{"var": "a"}, 2]}`, eager: func(x *run, args []any, _ any) any { return x.extreme(args, math.Max) }},
		"in":          {least: 2, most: 2, sample: `{"in": [{"var": "country"}, ["DE", "AT"]]}`, eager: (*run).within},
		"cat":         {least: 1, most: many, sample: `{"cat": [{"var": "a"}, "-", {"var": "b"}]}`, eager: (*run).cat},
		"substr":      {least: 2, most: 3, sample: `{"substr": [{"var": "a"}, 0, 3]}`, eager: (*run).substr},
		"merge":       {least: 1, most: many, sample: `{"merge": [["a"], ["b"]]}`, eager: (*run).merge},
		"map":         over("map", `{"var": "price"}`, (*run).mapping),
		"filter":      over("filter", `{"var": "new"}`, (*run).filter),
		"some":        over("some", `{"var": "new"}`, func(x *run, e *expr, data any) any { n, of := x.matching(e, data); return n > 0 && of > 0 }),
		"none":        over("none", `{"var": "new"}`, func(x *run, e *expr, data any) any { n, _ := x.matching(e, data); return n == 0 }),
		"all":         over("all", `{"var": "new"}`, func(x *run, e *expr, data any) any { n, of := x.matching(e, data); return of > 0 && n == of }),
		"reduce":      {least: 3, most: 3, lazy: true, sample: `{"reduce": [{"var": "items"}, {"+": [{"var": "accumulator"}, {"var": "current"}]}, 0]}`, run: (*run).reduce},
		"starts_with": {least: 2, most: 2, sample: `{"starts_with": [{"var": "ip"}, "10."]}`, eager: func(_ *run, args []any, _ any) any { return affix(args, strings.HasPrefix) }},
		"ends_with":   {least: 2, most: 2, sample: `{"ends_with": [{"var": "email"}, "@example.com"]}`, eager: func(_ *run, args []any, _ any) any { return affix(args, strings.HasSuffix) }},
		"sem_ver":     {least: 3, most: 3, sample: `{"sem_ver": [{"var": "version"}, ">=", "1.2.0"]}`, eager: func(_ *run, args []any, _ any) any { return semVer(args) }, check: checkSemVer},
		"fractional":  {least: 1, most: many, sample: `{"fractional": [["on", 90], ["off", 10]]}`, eager: (*run).fractional, check: checkFractional},
	}
}

func checkVar(args []expr) (text, hint string, i int) {
	if args[0].isList {
		return "var reads one value", `write its path with dots: {"var": "user.email"}`, 0
	}
	if s, is := args[0].literal.(string); is && strings.HasPrefix(s, "../") {
		return "var can't look out of a list here", `name what is in the item: {"var": "price"}`, 0
	}
	return "", "", 0
}

// splitPath takes a path apart at its dots; \. is a dot of a name.
func splitPath(path string) []string {
	if path == "" {
		return nil
	}
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\' || path[i+1] == '/'):
			i++
			part.WriteByte(path[i])
		case c == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}

func (x *run) variable(e *expr, data any) any {
	path := e.path
	if e.args[0].op != nil {
		key := x.eval(&e.args[0], data)
		if key != nil {
			path = splitPath(text(key))
		}
	}
	v, found := x.lookup(data, path)
	if (!found || v == nil) && len(e.args) > 1 {
		return x.eval(&e.args[1], data)
	}
	return v
}

// lookup follows a path.
func (x *run) lookup(data any, path []string) (any, bool) {
	for _, key := range path {
		if !x.spend(1) {
			return nil, false
		}
		v, found := x.member(data, key)
		if !found {
			return nil, false
		}
		data = v
	}
	return data, true
}

func (x *run) member(data any, key string) (any, bool) {
	switch d := data.(type) {
	case *Context:
		if key == "$flagd" {
			return map[string]any{"flagKey": x.flag, "timestamp": float64(d.now)}, true
		}
		v, found := d.values[key]
		return v, found
	case map[string]any:
		v, found := d[key]
		return v, found
	case []any:
		if key == "length" {
			return float64(len(d)), true
		}
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(d) && strconv.Itoa(i) == key {
			return d[i], true
		}
	case string:
		if key == "length" {
			return float64(len(utf16.Encode([]rune(d)))), true
		}
	}
	return nil, false
}

func (x *run) missing(args []any, _ any) any {
	if len(args) == 1 {
		if list, is := args[0].([]any); is {
			args = list
		}
	}
	out := []any{}
	for _, key := range args {
		if !x.has(splitPath(text(key))) {
			out = append(out, key)
		}
	}
	return out
}

// has says whether the context has a value at a path.
func (x *run) has(path []string) bool {
	var data any = x.c
	for _, key := range path {
		if !x.spend(1) || falsy(data) {
			return false
		}
		v, found := x.member(data, key)
		if !found {
			return false
		}
		data = v
	}
	return true
}

func (x *run) missingSome(args []any, data any) any {
	keys, is := args[1].([]any)
	if !is {
		return x.fail("missing_some needs a list of names")
	}
	gone, _ := x.missing(keys, data).([]any)
	if need := number(args[0]); float64(len(keys)-len(gone)) >= need {
		return []any{}
	}
	return gone
}

func (x *run) choose(e *expr, data any) any {
	i := 0
	for ; i+1 < len(e.args); i += 2 {
		if truthy(x.eval(&e.args[i], data)) {
			return x.eval(&e.args[i+1], data)
		}
	}
	if i < len(e.args) {
		return x.eval(&e.args[i], data)
	}
	return nil
}

// until evaluates arguments until one is truthy, or is not.
func (x *run) until(e *expr, data any, want bool) any {
	var v any
	for i := range e.args {
		if v = x.eval(&e.args[i], data); truthy(v) == want {
			break
		}
	}
	return v
}

func comparison(name string) func(*run, *expr, any) any {
	return func(x *run, e *expr, data any) any {
		args := x.list(e.args, data)
		for i := 1; i < len(args); i++ {
			holds := x.compare(name, args[i-1], args[i])
			if x.problem != "" {
				return nil
			}
			if !holds {
				return false
			}
		}
		return true
	}
}

// compare holds two values against each other as JavaScript does, but for what
// makes no sense there either: it fails.
func (x *run) compare(name string, a, b any) bool {
	switch name {
	case "===":
		return identical(a, b)
	case "!==":
		return !identical(a, b)
	}
	as, aText := a.(string)
	bs, bText := b.(string)
	if !x.spend((len(as) + len(bs)) / 256) {
		return false
	}
	if (aText || a == nil) && (bText || b == nil) {
		switch name {
		case "==":
			return aText == bText && as == bs
		case "!=":
			return aText != bText || as != bs
		}
		if aText && bText {
			return ordered(name, compareText(as, bs), 0)
		}
		return ordered(name, number(a), number(b))
	}
	m, n := number(a), number(b)
	if math.IsNaN(m) || math.IsNaN(n) {
		x.fail("what is compared is not a number")
		return false
	}
	return ordered(name, m, n)
}

func ordered(name string, a, b float64) bool {
	switch name {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "==":
		return a == b
	}
	return a != b
}

// compareText orders text by UTF-16 units, as JavaScript does.
func compareText(a, b string) float64 {
	x, y := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return float64(x[i]) - float64(y[i])
		}
	}
	return float64(len(x) - len(y))
}

func (x *run) arithmetic(name string, args []any) any {
	if len(args) == 0 {
		return x.fail("there is nothing to count with")
	}
	n := number(args[0])
	if len(args) == 1 {
		if name == "-" {
			n = -n
		}
		if name == "/" || name == "%" {
			n = math.NaN()
		}
	}
	for _, v := range args[1:] {
		m := number(v)
		switch name {
		case "+":
			n += m
		case "-":
			n -= m
		case "*":
			n *= m
		case "/":
			if m == 0 {
				m = math.NaN()
			}
			n /= m
		case "%":
			n = math.Mod(n, m)
		}
	}
	if math.IsNaN(n) || name == "/" && math.IsInf(n, 0) {
		return x.fail("what is counted with is not a number")
	}
	return n
}

func (x *run) extreme(args []any, of func(a, b float64) float64) any {
	if len(args) == 0 {
		return x.fail("there is nothing to compare")
	}
	out := 0.0
	for i, v := range args {
		n, is := v.(float64)
		if !is {
			return x.fail("what is compared is not a number")
		}
		if i == 0 {
			out = n
		}
		out = of(out, n)
	}
	return out
}

func (x *run) within(args []any, _ any) any {
	if len(args) < 2 {
		return false
	}
	switch place := args[1].(type) {
	case []any:
		if !x.spend(len(place) / 8) {
			return nil
		}
		for _, v := range place {
			if identical(v, args[0]) {
				return true
			}
		}
		return false
	case string:
		return x.spend(len(place)/256) && strings.Contains(place, text(args[0]))
	}
	if falsy(args[1]) {
		return false
	}
	return x.fail("in looks into a list or a text")
}

// maxText is the longest text that a rule may make.
const maxText = 64 << 10

func (x *run) cat(args []any, _ any) any {
	var out strings.Builder
	for _, v := range args {
		if v == nil {
			continue
		}
		s := text(v)
		if out.Len()+len(s) > maxText || !x.spend(1+len(s)/256) {
			return x.fail("the rule makes a text that is too long")
		}
		out.WriteString(s)
	}
	return out.String()
}

func (x *run) substr(args []any, _ any) any {
	if len(args) < 2 {
		return x.fail("substr needs a text and where it begins")
	}
	s, is := args[0].(string)
	if !is {
		return x.fail("substr needs a text")
	}
	if !x.spend(1 + len(s)/256) {
		return nil
	}
	units := utf16.Encode([]rune(s))
	from := integer(args[1])
	if from < 0 {
		from = max(0, len(units)+from)
	}
	units = units[min(from, len(units)):]
	if len(args) > 2 {
		n := integer(args[2])
		if n < 0 {
			n = max(0, len(units)+n)
		}
		units = units[:min(n, len(units))]
	}
	return string(utf16.Decode(units))
}

func (x *run) merge(args []any, _ any) any {
	out := []any{}
	for _, v := range args {
		if list, is := v.([]any); is {
			out = append(out, list...)
		} else {
			out = append(out, v)
		}
	}
	x.spend(len(out) / 8)
	return out
}

// items is the list that an operator goes over.
func (x *run) items(e *expr, data any) []any {
	switch v := x.eval(&e.args[0], data).(type) {
	case []any:
		return v
	default:
		if !falsy(v) {
			x.fail("what is gone over is not a list")
		}
		return nil
	}
}

func (x *run) mapping(e *expr, data any) any {
	out := []any{}
	for _, v := range x.items(e, data) {
		out = append(out, x.eval(&e.args[1], v))
	}
	return out
}

func (x *run) filter(e *expr, data any) any {
	out := []any{}
	for _, v := range x.items(e, data) {
		if truthy(x.eval(&e.args[1], v)) {
			out = append(out, v)
		}
	}
	return out
}

// matching counts the items for which the second argument is truthy.
func (x *run) matching(e *expr, data any) (n, of int) {
	list := x.items(e, data)
	for _, v := range list {
		if truthy(x.eval(&e.args[1], v)) {
			n++
		}
	}
	return n, len(list)
}

func (x *run) reduce(e *expr, data any) any {
	sum := x.eval(&e.args[2], data)
	for _, v := range x.items(e, data) {
		sum = x.eval(&e.args[1], map[string]any{"accumulator": sum, "current": v})
		if x.problem != "" {
			return nil
		}
	}
	return sum
}

func affix(args []any, of func(s, affix string) bool) any {
	if len(args) != 2 {
		return nil
	}
	s, sText := args[0].(string)
	a, aText := args[1].(string)
	if !sText || !aText {
		return nil
	}
	return of(s, a)
}
