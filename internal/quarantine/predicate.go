package quarantine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// The bounds of a predicate: what a person writes stays far below them.
const (
	MaxPredicate = 64 << 10 // bytes of its text
	maxTerms     = 200
	maxDepth     = 16
	maxValues    = 1000 // of one "in"
)

// Predicate chooses rows by comparing columns with literals. It is a structure and
// not SQL text: nothing in it can call a function, which a read-only transaction
// would not stop. One of And, Or and Column is set.
type Predicate struct {
	And    []Predicate `json:"and,omitempty"`
	Or     []Predicate `json:"or,omitempty"`
	Column string      `json:"column,omitempty"`
	Op     Op          `json:"op,omitempty"`
	Value  *Literal    `json:"value,omitempty"`
	Values []Literal   `json:"values,omitempty"` // of In
}

// Op compares a column with a literal.
type Op string

// The operators.
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
	In             Op = "in"
	Like           Op = "like"
	IsNull         Op = "is null"
	IsNotNull      Op = "is not null"
)

var ops = []Op{Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, In, Like, IsNull, IsNotNull}

// Literal is a value as it was written; Kind says how.
type Literal struct {
	Text string
	Kind LiteralKind
}

// LiteralKind is how a literal was written.
type LiteralKind byte

// The kinds of literals. Quoted text fits every class that can read it; a bare
// number fits numbers only.
const (
	Text   LiteralKind = 't'
	Number LiteralKind = 'n'
	Bool   LiteralKind = 'b'
)

// MarshalJSON writes text as a string, numbers and truth values bare.
func (l Literal) MarshalJSON() ([]byte, error) {
	if l.Kind == Number && json.Valid([]byte(l.Text)) || l.Kind == Bool {
		return []byte(l.Text), nil
	}
	return json.Marshal(l.Text)
}

// UnmarshalJSON reads a string, a number (with all its digits) or a truth value.
func (l *Literal) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return fault.New(fault.Invalid, "a value is missing")
	case b[0] == '"':
		l.Kind = Text
		return json.Unmarshal(b, &l.Text)
	case string(b) == "true" || string(b) == "false":
		l.Kind, l.Text = Bool, string(b)
		return nil
	case string(b) == "null":
		return fault.New(fault.Invalid, "null can't be compared").WithHint("use the operator \"is null\"")
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		l.Kind, l.Text = Number, string(b)
		return nil
	}
	return fault.New(fault.Invalid, "a value is text, a number, true or false")
}

// Class is a family of column types, as far as literals are checked. What a class
// can't decide the database itself decides, before anything is changed.
type Class string

// The classes.
const (
	ClassInteger Class = "integer"
	ClassDecimal Class = "decimal"
	ClassFloat   Class = "float"
	ClassBool    Class = "bool"
	ClassText    Class = "text"
	ClassBytes   Class = "bytes" // written in hexadecimal
	ClassDate    Class = "date"
	ClassTime    Class = "time"
	ClassStamp   Class = "timestamp"
	ClassUUID    Class = "uuid"
	ClassOther   Class = "other"
)

var (
	integerForm = regexp.MustCompile(`^[+-]?[0-9]{1,40}$`)
	decimalForm = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$`)
	uuidForm    = regexp.MustCompile(`^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$`)
	hexForm     = regexp.MustCompile(`^([0-9a-fA-F]{2})*$`)
	timeForm    = regexp.MustCompile(`^-?[0-9]{1,3}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([+-][0-9]{2}(:?[0-9]{2})?|Z)?$`)
	stampForms  = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02 15:04:05.999999Z07:00",
		"2006-01-02 15:04:05.999999Z07", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly}
)

// Odd says whether quoted text is a value that a database knows in a column beside those
// of its class: 'infinity', '0000-00-00'.
type Odd func(Column, string) bool

// Check says whether a literal can stand for a value of the column. odd may be nil.
func (c Column) Check(l Literal, odd Odd) error {
	if !utf8.ValidString(l.Text) || strings.ContainsRune(l.Text, 0) {
		return fault.New(fault.Invalid, "a value holds bytes that are not text").WithHint("write bytes in hexadecimal")
	}
	if l.Kind == Text && odd != nil && odd(c, l.Text) {
		return nil
	}
	return c.Class.check(l)
}

// check says whether a literal is one of the class.
func (c Class) check(l Literal) error {
	ok := true
	switch c {
	case ClassInteger:
		ok = l.Kind != Bool && integerForm.MatchString(l.Text)
	case ClassDecimal:
		ok = l.Kind != Bool && decimalForm.MatchString(l.Text)
	case ClassFloat:
		f, _, err := big.ParseFloat(l.Text, 10, 64, big.ToNearestEven)
		ok = l.Kind != Bool && err == nil && !f.IsInf()
	case ClassBool:
		ok = slices.Contains([]string{"true", "false", "t", "f", "0", "1"}, l.Text)
	case ClassText:
		ok = l.Kind == Text
	case ClassBytes:
		ok = l.Kind == Text && hexForm.MatchString(l.Text)
	case ClassDate:
		_, err := time.Parse(time.DateOnly, l.Text)
		ok = l.Kind == Text && err == nil
	case ClassTime:
		ok = l.Kind == Text && timeForm.MatchString(l.Text)
	case ClassStamp:
		ok = l.Kind == Text && slices.ContainsFunc(stampForms, func(form string) bool {
			_, err := time.Parse(form, l.Text)
			return err == nil
		})
	case ClassUUID:
		ok = l.Kind == Text && uuidForm.MatchString(l.Text)
	}
	if !ok {
		return fault.New(fault.Invalid, "%s is no value for a column of type %s", quoteShort(l.Text), c).WithHint("%s", c.example())
	}
	return nil
}

// example is the next step for somebody whose literal does not fit.
func (c Class) example() string {
	switch c {
	case ClassInteger:
		return "write a whole number, as in 4711"
	case ClassDecimal, ClassFloat:
		return "write a number, as in 12.50"
	case ClassBool:
		return "write true or false"
	case ClassBytes:
		return "write the bytes in hexadecimal and in quotes, as in '00ff'"
	case ClassDate:
		return "write a date in quotes, as in '2026-11-22'"
	case ClassTime:
		return "write a time in quotes, as in '14:30:00'"
	case ClassStamp:
		return "write a time in quotes, as in '2026-11-22 14:30:00'"
	case ClassUUID:
		return "write all 32 digits in quotes, as in '6f1ed002-ab5d-4c5b-b4cb-0242ac110002'"
	}
	return "write it in quotes, as in 'abc'"
}

func quoteShort(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return strconv.Quote(s)
}

// Empty says whether the predicate chooses by nothing at all.
func (p *Predicate) Empty() bool {
	return p == nil || p.Column == "" && len(p.And) == 0 && len(p.Or) == 0
}

// Columns are the columns that the predicate compares.
func (p *Predicate) Columns() []string {
	if p == nil {
		return nil
	}
	var out []string
	if p.Column != "" {
		out = append(out, p.Column)
	}
	for _, list := range [][]Predicate{p.And, p.Or} {
		for i := range list {
			out = append(out, list[i].Columns()...)
		}
	}
	return out
}

// Check says whether the predicate is whole and fits a table: its columns are there,
// its operators and literals fit their types. odd may be nil.
func (p *Predicate) Check(columns []Column, odd Odd) error {
	if p.Empty() {
		return fault.New(fault.Invalid, "no rows are chosen: the condition is empty").At("where").WithHint("compare at least one column, as in: id = 4711")
	}
	terms := 0
	return p.check(columns, odd, 0, &terms)
}

func (p *Predicate) check(columns []Column, odd Odd, depth int, terms *int) error {
	*terms++
	set := 0
	for _, there := range []bool{len(p.And) > 0, len(p.Or) > 0, p.Column != ""} {
		if there {
			set++
		}
	}
	switch {
	case *terms > maxTerms || depth > maxDepth:
		return fault.New(fault.Invalid, "the condition is too long or too deep").At("where").WithHint("name the rows by their keys")
	case set != 1:
		return fault.New(fault.Invalid, "a condition has exactly one of column, and, or").At("where").WithHint("compare a column, as in: id = 4711")
	}
	for _, list := range [][]Predicate{p.And, p.Or} {
		for i := range list {
			if err := list[i].check(columns, odd, depth+1, terms); err != nil {
				return err
			}
		}
	}
	if p.Column == "" {
		return nil
	}
	at := slices.IndexFunc(columns, func(c Column) bool { return c.Name == p.Column })
	if at < 0 {
		return fault.New(fault.Invalid, "there is no column %q", p.Column).At("where").WithHint("the columns are: %s", columnNames(columns))
	}
	return p.checkTerm(columns[at], odd)
}

// checkTerm checks one comparison.
func (p *Predicate) checkTerm(column Column, odd Odd) error {
	place := "where: " + p.Column
	wantsNone := p.Op == IsNull || p.Op == IsNotNull
	switch {
	case !slices.Contains(ops, p.Op):
		return fault.New(fault.Invalid, "%q is no operator", p.Op).At(place).WithHint("the operators are: =, !=, <, <=, >, >=, in, like, is null, is not null")
	case wantsNone && (p.Value != nil || len(p.Values) > 0):
		return fault.New(fault.Invalid, "%q takes no value", p.Op).At(place).WithHint("leave the value out")
	case p.Op == In && (len(p.Values) == 0 || p.Value != nil):
		return fault.New(fault.Invalid, "\"in\" needs a list of values").At(place).WithHint("as in: id in (1, 2, 3)")
	case len(p.Values) > maxValues:
		return fault.New(fault.Invalid, "\"in\" has %d values; %d are allowed", len(p.Values), maxValues).At(place).WithHint("name the rows by their keys")
	case !wantsNone && p.Op != In && (p.Value == nil || len(p.Values) > 0):
		return fault.New(fault.Invalid, "%q needs one value", p.Op).At(place).WithHint("as in: id = 4711")
	case p.Op == Like && column.Class != ClassText:
		return fault.New(fault.Invalid, "\"like\" compares text, and %s is of type %s", p.Column, column.Type).At(place).WithHint("use =, < or >")
	}
	values := p.Values
	if p.Value != nil {
		values = []Literal{*p.Value}
	}
	for _, v := range values {
		if err := column.Check(v, odd); err != nil {
			return err.(*fault.Error).At(place)
		}
	}
	return nil
}

func columnNames(columns []Column) string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, c.Name)
		if len(names) == 40 {
			names = append(names, "…")
			break
		}
	}
	return strings.Join(names, ", ")
}

// Shape is the predicate without its values, for records that hold no contents.
func (p *Predicate) Shape() string {
	switch {
	case p.Empty():
		return ""
	case len(p.And) > 0:
		return joinShapes(p.And, " and ")
	case len(p.Or) > 0:
		return joinShapes(p.Or, " or ")
	case p.Op == IsNull || p.Op == IsNotNull:
		return p.Column + " " + string(p.Op)
	case p.Op == In:
		return fmt.Sprintf("%s in (%d values)", p.Column, len(p.Values))
	}
	return fmt.Sprintf("%s %s …", p.Column, p.Op)
}

func joinShapes(list []Predicate, word string) string {
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = list[i].Shape()
	}
	return "(" + strings.Join(parts, word) + ")"
}
