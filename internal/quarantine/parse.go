package quarantine

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// ParsePredicate reads a predicate in its JSON form ({"column":"id","op":"=","value":4711},
// with "and" and "or" for lists) or as a person types it:
//
//	customer = 4711 and (state in ('open', 'paid') or note is null)
//
// A comparison has a column at its left and a literal at its right; there are no
// functions, no arithmetic and no comparisons of literals with each other.
func ParsePredicate(text string) (*Predicate, error) {
	if len(text) > MaxPredicate {
		return nil, fault.New(fault.Invalid, "the condition is longer than %d bytes", MaxPredicate).At("where").WithHint("name the rows by their keys")
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.Invalid, "the condition is not UTF-8 text").At("where").WithHint("write bytes in hexadecimal")
	}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return nil, fault.New(fault.Invalid, "no rows are chosen: the condition is empty").At("where").WithHint("compare at least one column, as in: id = 4711")
	}
	if trimmed[0] == '{' {
		return parseJSON(trimmed)
	}
	p := &parser{text: text}
	p.next()
	tree, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.kind != end {
		return nil, p.fail("unexpected %q", p.token)
	}
	return &tree, nil
}

func parseJSON(text string) (*Predicate, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var p Predicate
	if err := decoder.Decode(&p); err != nil {
		return nil, fault.New(fault.Invalid, "the condition can't be read").At("where").Because(err).WithHint(`as in {"column": "id", "op": "=", "value": 4711}`)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "there is more after the condition").At("where").WithHint("join conditions with \"and\" or \"or\"")
	}
	return &p, nil
}

// token kinds of the parser.
type tokenKind byte

const (
	end     tokenKind = 'e'
	word    tokenKind = 'w' // a bare word
	quoted  tokenKind = 'q' // a column in double quotes
	text    tokenKind = 't' // a literal in single quotes
	number  tokenKind = 'n'
	sign    tokenKind = 's' // operators, brackets, commas
	invalid tokenKind = 'i'
)

type parser struct {
	text  string
	at    int // where token begins
	rest  int // where the next one does
	kind  tokenKind
	token string
	terms int
}

func (p *parser) fail(format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).At("where").
		WithHint("at character %d of the condition; it reads: column, operator, value, as in: id = 4711 and state in ('open', 'paid')", utf8.RuneCountInString(p.text[:p.at])+1)
}

// next reads one token.
func (p *parser) next() {
	for p.rest < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.rest]) >= 0 {
		p.rest++
	}
	p.at = p.rest
	if p.rest == len(p.text) {
		p.kind, p.token = end, "the end"
		return
	}
	rest := p.text[p.rest:]
	c := rest[0]
	length := 1
	switch {
	case c == '\'' || c == '"':
		p.quotes(rest, c)
		return
	case c >= '0' && c <= '9' || (c == '-' || c == '+' || c == '.') && len(rest) > 1 && (rest[1] >= '0' && rest[1] <= '9' || rest[1] == '.'):
		p.kind = number
		for length < len(rest) && (strings.IndexByte("0123456789.eE", rest[length]) >= 0 || strings.IndexByte("+-", rest[length]) >= 0 && strings.IndexByte("eE", rest[length-1]) >= 0) {
			length++
		}
	case strings.IndexByte("<>!=", c) >= 0:
		p.kind = sign
		if len(rest) > 1 && strings.IndexByte("=>", rest[1]) >= 0 {
			length = 2
		}
	case strings.IndexByte("(),", c) >= 0:
		p.kind = sign
	default:
		p.kind, length = wordLength(rest)
	}
	p.token = rest[:length]
	p.rest += length
}

func wordLength(s string) (tokenKind, int) {
	for i, r := range s {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsDigit(r) && r != '$') {
			if i == 0 {
				return invalid, utf8.RuneLen(r)
			}
			return word, i
		}
	}
	return word, len(s)
}

// quotes reads a token in quotes; a doubled quote stands for one.
func (p *parser) quotes(rest string, q byte) {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != q {
			b.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == q {
			b.WriteByte(q)
			i++
			continue
		}
		p.kind, p.token = text, b.String()
		if q == '"' {
			p.kind = quoted
		}
		p.rest += i + 1
		return
	}
	p.kind, p.token, p.rest = invalid, "a quote without its end", len(p.text)
}

func (p *parser) is(keyword string) bool {
	return p.kind == word && strings.EqualFold(p.token, keyword)
}

func (p *parser) or(depth int) (Predicate, error) {
	return p.list("or", depth, func(depth int) (Predicate, error) { return p.list("and", depth, p.term) })
}

// list reads parts that are joined by a word; one part stands for itself.
func (p *parser) list(join string, depth int, part func(int) (Predicate, error)) (Predicate, error) {
	if depth > maxDepth {
		return Predicate{}, p.fail("the condition is nested too deep")
	}
	first, err := part(depth)
	if err != nil || !p.is(join) {
		return first, err
	}
	list := []Predicate{first}
	for p.is(join) {
		p.next()
		more, err := part(depth)
		if err != nil {
			return Predicate{}, err
		}
		list = append(list, more)
	}
	if join == "or" {
		return Predicate{Or: list}, nil
	}
	return Predicate{And: list}, nil
}

// term reads a comparison or brackets.
func (p *parser) term(depth int) (Predicate, error) {
	if p.terms++; p.terms > maxTerms {
		return Predicate{}, p.fail("the condition has too many parts")
	}
	if p.kind == sign && p.token == "(" {
		p.next()
		inner, err := p.or(depth + 1)
		if err != nil {
			return Predicate{}, err
		}
		return inner, p.want(")")
	}
	if p.kind == number || p.kind == text {
		return Predicate{}, p.fail("a comparison begins with a column, not with the value %q", p.token)
	}
	if p.kind != word && p.kind != quoted {
		return Predicate{}, p.fail("a column is missing before %q", p.token)
	}
	out := Predicate{Column: p.token}
	p.next()
	return p.comparison(out)
}

func (p *parser) want(s string) error {
	if p.kind != sign || p.token != s {
		return p.fail("%q is missing before %q", s, p.token)
	}
	p.next()
	return nil
}

// comparison reads what follows a column.
func (p *parser) comparison(out Predicate) (Predicate, error) {
	switch {
	case p.is("is"):
		p.next()
		out.Op = IsNull
		if p.is("not") {
			out.Op = IsNotNull
			p.next()
		}
		if !p.is("null") {
			return out, p.fail("\"is\" is followed by null or not null")
		}
		p.next()
		return out, nil
	case p.is("in"):
		p.next()
		out.Op = In
		return p.values(out)
	case p.is("like"):
		out.Op = Like
	case p.kind == sign && (p.token == "<>" || p.token == "!="):
		out.Op = NotEqual
	case p.kind == sign && strings.Contains(" = < <= > >= ", " "+p.token+" "):
		out.Op = Op(p.token)
	default:
		return out, p.fail("after %q an operator is missing", out.Column)
	}
	p.next()
	l, err := p.literal()
	out.Value = &l
	return out, err
}

// values reads the list of "in".
func (p *parser) values(out Predicate) (Predicate, error) {
	if err := p.want("("); err != nil {
		return out, err
	}
	for {
		l, err := p.literal()
		if err != nil {
			return out, err
		}
		if out.Values = append(out.Values, l); len(out.Values) > maxValues {
			return out, p.fail("\"in\" has more than %d values", maxValues)
		}
		if p.kind != sign || p.token != "," {
			return out, p.want(")")
		}
		p.next()
	}
}

func (p *parser) literal() (Literal, error) {
	l := Literal{Text: p.token}
	switch {
	case p.kind == number && decimalForm.MatchString(p.token):
		l.Kind = Number
	case p.kind == text:
		l.Kind = Text
	case p.is("true") || p.is("false"):
		l.Kind, l.Text = Bool, strings.ToLower(p.token)
	case p.is("null"):
		return l, p.fail("null can't be compared; use \"is null\"")
	case p.kind == word || p.kind == quoted:
		return l, p.fail("a value is missing before %q; columns are compared with values only, and text stands in single quotes", p.token)
	default:
		return l, p.fail("a value is missing before %q", p.token)
	}
	p.next()
	return l, nil
}
